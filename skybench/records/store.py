"""The store of records: one JSON file for each cell, below <task>/<dataset>.

Files are written atomically, so that a reader never sees an incomplete one, and several processes
may write at once without a lock. Only these files count; what `index` remembers of them saves
reading those that did not change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core.atomic import write_whole
from skybench.core.record import SCHEMA, Record
from skybench.records import schema
from skybench.records.identity import with_identity

FAILED = ".failed"  # the ending of the record of a failed repeat, beside the measured one
DRAWS = ".draws"  # replicates of the main score, see `analysis.replicates`
FIELDS = frozenset(f.name for f in dataclasses.fields(Record))
REQUIRED = frozenset(
    f.name for f in dataclasses.fields(Record)
    if f.default is f.default_factory is dataclasses.MISSING
)  # fmt: skip
# Schema -> the conversion of its records to the next schema; the first one is 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class SkippedFile(NamedTuple):
    """A file among the records that could not be read, and why. It is left unchanged."""

    path: Path
    reason: str


class StoredRecord(NamedTuple):
    """A record and where it lies, relative to the results folder."""

    path: Path
    record: Record


def now() -> str:
    """Return the time of a record, see `Record.made`."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_record(record: Record, results: Path) -> Path:
    """Write a record atomically, and return its path; an older record of the cell is replaced."""
    path = results / record.path
    with _written(record, path):
        pass
    path.with_suffix(FAILED).unlink(missing_ok=True)
    _send(results, record.path)
    return path


def write_failure(record: Record, results: Path) -> Path:
    """Write the record of a failed repeat beside the measured record, which stays as it is."""
    path = (results / record.path).with_suffix(FAILED)
    with _written(record, path):
        pass
    _send(results, record.path)
    return path


def store_result(record: Record, results: Path, kept: Path | None) -> tuple[Record, bool]:
    """Write a record with its predictions; return it, and whether it was put into its place.

    The record of a repeat that failed lies beside the measured one, which stays with all that
    belongs to it. kept: a temporary file of the new predictions, if there are any; beside it, with
    the suffix DRAWS, are the replicates of the main score.
    """
    path, before = results / record.path, find_record(results, record.path)
    if before is not None and before.came_out and not record.came_out:
        for file in (kept, kept.with_suffix(DRAWS)) if kept is not None else ():
            file.unlink(missing_ok=True)
        failure = write_failure(record, results)
        score = "{} {:.2f}".format(*before.main) if before.main else before.status
        stays = f"the record of {before.made or 'an earlier run'} stays ({score})"
        note = f"{record.note.rstrip('.')}; {stays}, and {failure.name} has the failure"
        return replace(record, note=note), False
    with _written(record, path):  # on a full disk all stays as it was
        _replace(kept, path.with_suffix(".npz"))
        _replace(kept and kept.with_suffix(DRAWS), path.with_suffix(DRAWS))
    path.with_suffix(FAILED).unlink(missing_ok=True)
    _send(results, record.path)
    return record, True


def _replace(new: Path | None, place: Path) -> None:
    """Move a new file to its place; without one remove the old, which is of another record."""
    if new is not None and new.is_file():
        new.replace(place)
    else:
        place.unlink(missing_ok=True)


def _send(results: Path, path: Path) -> None:
    from skybench.core.remote_store import send_record

    send_record(results, path)


@contextlib.contextmanager
def _written(record: Record, path: Path) -> Iterator[None]:
    """A context at whose end a record gets its name; it is on the disk at the beginning."""
    text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False) + "\n"
    with write_whole(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
        yield


def parse_record(text: str) -> Record:
    """Parse a record from JSON. Raises ValueError, with the reason, for any other text."""
    raw = schema.load_record_json(text)
    if not isinstance(raw, dict) or type(raw.get("schema")) is not int:
        raise ValueError("not a record of skybench (no 'schema')")
    raw = _migrated(raw)
    unknown, missing = sorted(raw.keys() - FIELDS), sorted(REQUIRED - raw.keys())
    if unknown or missing:
        raise ValueError(f"fields missing: {missing or 'none'}, unknown: {unknown or 'none'}")
    if not isinstance(raw["recipe"], dict) or "protocol" not in raw["recipe"]:
        raise ValueError("no protocol in 'recipe'")
    record = Record(**raw)
    schema.check_record_fields(record)
    return record


def _migrated(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert a record of an older schema to the current one, schema by schema."""
    while raw["schema"] != SCHEMA:
        step = MIGRATIONS.get(raw["schema"])
        if step is None:
            raise ValueError(f"schema {raw['schema']}, this version of skybench reads {SCHEMA}")
        raw = {**step(raw), "schema": raw["schema"] + 1}
    return raw


def _text(path: Path) -> str:
    """The text of a file in UTF-8, without the byte order mark that editors on Windows set."""
    return path.read_bytes().decode("utf-8-sig")


def _files(results: Path) -> Iterator[Path]:
    """Yield the record files, <task>/<dataset>/<name>.json, without hidden temporary ones."""
    return (p for p in sorted(results.glob("*/*/*.json")) if not p.name.startswith("."))


def read_file(path: Path) -> Record | str:
    """Return the record in a file, or why it is none. Raises FileNotFoundError."""
    try:
        return parse_record(_text(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "not a record of skybench (not UTF-8 text)"
    except ValueError as error:
        return str(error)


def read_stored(results: Path) -> tuple[list[StoredRecord], list[SkippedFile]]:
    """Return all records below a folder with their paths, and the files that are not records."""
    good, bad = [], []
    for path in _files(results):
        try:
            found = read_file(path)
        except FileNotFoundError:  # deleted since it was listed
            continue
        if isinstance(found, str):
            bad.append(SkippedFile(path, found))
        else:
            good.append(StoredRecord(path.relative_to(results), found))
    return good, bad


def read_records(results: Path) -> tuple[list[Record], list[SkippedFile]]:
    """Return all records below a folder, and the files that are not records.

    The records bear what tells them from each other, see `with_identity`.
    """
    good, bad = read_stored(results)
    return with_identity([stored.record for stored in good]), bad


def find_record(results: Path, path: Path) -> Record | None:
    """Return the record at a path below the results folder; None if missing or unreadable."""
    with contextlib.suppress(OSError, ValueError):
        return parse_record(_text(results / path))
    return None
