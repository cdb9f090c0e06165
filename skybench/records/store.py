"""The store of records: one JSON file for each cell, and an sqlite index to read them fast.

Only the files count; the index is rebuilt from them. Files are written atomically, so that a reader
never sees an incomplete one, and several processes may write at once without a lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from skybench.core import Status
from skybench.core.atomic import write_whole
from skybench.core.record import SCHEMA, Record

INDEX = "index.sqlite"
# Annotation of a field -> its type in JSON; all others are text.
JSON_TYPES = {"Mapping": dict, "Sequence": list, "int": int}
# Schema -> the conversion of its records to the next schema; the first one is 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class SkippedFile(NamedTuple):
    """A file among the records that could not be read, and why. It is left unchanged."""

    path: Path
    reason: str


def write_record(record: Record, results: Path) -> Path:
    """Write a record atomically, and return its path; an older record of the cell is replaced."""
    path = results / record.path
    text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False) + "\n"
    with write_whole(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def parse_record(text: str) -> Record:
    """Parse a record from JSON. Raises ValueError, with the reason, for any other text."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not complete JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("not a record of skybench (nested too deeply)") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("schema"), int):
        raise ValueError("not a record of skybench (no 'schema')")
    raw = _migrated(raw)
    known = {f.name: f for f in dataclasses.fields(Record)}
    unknown = sorted(set(raw) - set(known))
    required = [
        n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING
    ]
    missing = sorted(set(required) - set(raw))
    if unknown or missing:
        raise ValueError(f"fields missing: {missing or 'none'}, unknown: {unknown or 'none'}")
    if not isinstance(raw["recipe"], dict) or "protocol" not in raw["recipe"]:
        raise ValueError("no protocol in 'recipe'")
    record = Record(**raw)
    _check(record)
    return record


def _check(record: Record) -> None:
    """Raise ValueError for field values that no run writes, as in an edited or foreign file."""
    for field_ in dataclasses.fields(Record):
        kind = JSON_TYPES.get(str(field_.type).partition("[")[0], str)
        if not isinstance(getattr(record, field_.name), kind):
            raise ValueError(f"{field_.name!r} is not a {kind.__name__}")
    if record.data not in ("real", "demo") or record.status not in get_args(Status):
        raise ValueError(f"data {record.data!r}, status {record.status!r}")
    bands = record.intervals.values()
    pairs = all(isinstance(band, list) and len(band) == 2 for band in bands)
    numbers = [*record.scores.values(), *record.spread.values()]
    numbers += [end for band in bands for end in band] if pairs else ()
    if not pairs or not all(_is_finite(n) for n in numbers):
        raise ValueError("scores, spread or intervals are not finite numbers")
    if not all(isinstance(flag, str) for flag in record.flags):
        raise ValueError("'flags' are not text")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _migrated(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert a record of an older schema to the current one, schema by schema."""
    while raw["schema"] != SCHEMA:
        step = MIGRATIONS.get(raw["schema"])
        if step is None:
            raise ValueError(f"schema {raw['schema']}, this version of skybench reads {SCHEMA}")
        raw = {**step(raw), "schema": raw["schema"] + 1}
    return raw


def _files(results: Path) -> Iterator[Path]:
    """Yield the record files, <task>/<dataset>/<name>.json, without hidden temporary ones."""
    return (p for p in sorted(results.glob("*/*/*.json")) if not p.name.startswith("."))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=3)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS record "
        "(path TEXT PRIMARY KEY, stamp TEXT, model TEXT, task TEXT, dataset TEXT, "
        "protocol TEXT, status TEXT, data TEXT, fingerprint TEXT, metric TEXT, score REAL, "
        "json TEXT, problem TEXT)"
    )
    return connection


def _row(path: Path, relative: str, stamp: str) -> tuple[Any, ...]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return (relative, stamp, *[None] * 10, f"cannot be read ({error.strerror})")
    try:
        r = parse_record(text)
    except ValueError as error:
        return (relative, stamp, *[None] * 9, text, str(error))
    metric, score = r.main or (None, None)
    protocol = r.recipe["protocol"]
    names = (r.model, r.task, r.dataset, protocol, r.status, r.data, r.fingerprint, metric, score)
    return (relative, stamp, *names, text, None)


def _sync(connection: sqlite3.Connection, results: Path) -> None:
    """Update the index with new, changed and removed files."""
    # Files that could not be read are tried again.
    known = "SELECT path, CASE WHEN json IS NULL THEN '' ELSE stamp END FROM record"
    indexed = dict(connection.execute(known))
    present = {}
    for path in _files(results):
        with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
            info = path.stat()
            present[path.relative_to(results).as_posix()] = f"{info.st_mtime_ns}.{info.st_size}"
    stale = [(p,) for p in indexed if indexed[p] != present.get(p)]
    fresh = [_row(results / p, p, s) for p, s in present.items() if indexed.get(p) != s]
    with connection:
        connection.executemany("DELETE FROM record WHERE path = ?", stale)
        connection.executemany(f"INSERT OR REPLACE INTO record VALUES ({'?, ' * 12}?)", fresh)


def read_records(results: Path) -> tuple[list[Record], list[SkippedFile]]:
    """Return all records below a folder, and the files that are not records.

    They are read through the index. A damaged index is rebuilt; where none can be written, the
    files are read directly.
    """
    if not results.is_dir():
        return [], []
    for attempt in range(2):
        try:
            with contextlib.closing(_connect(results / INDEX)) as connection:
                _sync(connection, results)
                rows = connection.execute("SELECT path, json, problem FROM record ORDER BY path")
                indexed = rows.fetchall()
            break
        except sqlite3.DatabaseError as error:
            if attempt or isinstance(error, sqlite3.OperationalError):
                indexed = _read_files(results)  # locked for long, or the folder is read-only
                break
            for name in (INDEX, f"{INDEX}-wal", f"{INDEX}-shm"):
                with contextlib.suppress(OSError):  # of a folder that is read-only
                    (results / name).unlink(missing_ok=True)
    return _parse_all(indexed, results)


def _parse_all(
    indexed: Iterable[tuple[str, str | None, str | None]], results: Path
) -> tuple[list[Record], list[SkippedFile]]:
    """Parse the indexed text of each file: another version of skybench may have indexed it."""
    good, bad = [], []
    for path, text, problem in indexed:
        try:
            if text is None:
                raise ValueError(problem)
            good.append(parse_record(text))
        except ValueError as error:
            bad.append(SkippedFile(results / path, str(error)))
    return good, bad


def _read_files(results: Path) -> list[tuple[str, str | None, str | None]]:
    rows = [_row(p, p.relative_to(results).as_posix(), "") for p in _files(results)]
    return [(row[0], row[11], row[12]) for row in rows]


def find_record(results: Path, path: Path) -> Record | None:
    """Return the record at a path below the results folder; None if missing or unreadable."""
    try:
        return parse_record((results / path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
