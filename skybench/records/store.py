"""Records: one immutable JSON file a cell; an sqlite index that can be made again from them.

The files are the truth. They are written to a temporary name and renamed, so a reader never
sees half of one, and several processes may write at once without a lock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from skybench.core import Status
from skybench.core.record import SCHEMA, Record

INDEX = "index.sqlite"
KINDS = {"Mapping": dict, "Sequence": list, "int": int}  # of a field; all others are text
# Schema -> how a record of it becomes one of the next. There was none before 1.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class Skipped(NamedTuple):
    """A file among the records that could not be used, and why. It is left as it is."""

    path: Path
    reason: str


def write(record: Record, results: Path) -> Path:
    """Writes one record; a file of the same name is replaced as a whole."""
    path = results / record.path
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(record), indent=1, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def parse(text: str) -> Record:
    """A record from its JSON. Raises ValueError, with the reason, for anything else."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not complete JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("not a record of skybench (nested without end)") from error
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
    """Raises ValueError where a field holds what no run writes: someone else's file, or edited."""
    for field_ in dataclasses.fields(Record):
        kind = KINDS.get(str(field_.type).partition("[")[0], str)
        if not isinstance(getattr(record, field_.name), kind):
            raise ValueError(f"{field_.name!r} is not a {kind.__name__}")
    if record.data not in ("real", "demo") or record.status not in get_args(Status):
        raise ValueError(f"data {record.data!r}, status {record.status!r}")
    bands = record.intervals.values()
    pairs = all(isinstance(band, list) and len(band) == 2 for band in bands)
    numbers = [*record.scores.values(), *record.spread.values()]
    numbers += [end for band in bands for end in band] if pairs else ()
    if not pairs or not all(_is_finite(n) for n in numbers):
        raise ValueError("scores, spread or intervals are no finite numbers")
    if not all(isinstance(flag, str) for flag in record.flags):
        raise ValueError("'flags' are no words")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _migrated(raw: dict[str, Any]) -> dict[str, Any]:
    """An older record as one of this version, step by step."""
    while raw["schema"] != SCHEMA:
        step = MIGRATIONS.get(raw["schema"])
        if step is None:
            raise ValueError(f"schema {raw['schema']}, this version of skybench reads {SCHEMA}")
        raw = {**step(raw), "schema": raw["schema"] + 1}
    return raw


def _files(results: Path) -> Iterator[Path]:
    """Every record file: <task>/<dataset>/<name>.json; temporary files start with a dot."""
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
        r = parse(text)
    except ValueError as error:
        return (relative, stamp, *[None] * 9, text, str(error))
    metric, score = r.main or (None, None)
    protocol = r.recipe["protocol"]
    names = (r.model, r.task, r.dataset, protocol, r.status, r.data, r.fingerprint, metric, score)
    return (relative, stamp, *names, text, None)


def _sync(connection: sqlite3.Connection, results: Path) -> None:
    """Brings the index up to date with the files: new, changed and removed ones."""
    # What could not be read is tried again.
    known = "SELECT path, CASE WHEN json IS NULL THEN '' ELSE stamp END FROM record"
    indexed = dict(connection.execute(known))
    present = {}
    for path in _files(results):
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            info = path.stat()
            present[path.relative_to(results).as_posix()] = f"{info.st_mtime_ns}.{info.st_size}"
    stale = [(p,) for p in indexed if indexed[p] != present.get(p)]
    fresh = [_row(results / p, p, s) for p, s in present.items() if indexed.get(p) != s]
    with connection:
        connection.executemany("DELETE FROM record WHERE path = ?", stale)
        connection.executemany(f"INSERT OR REPLACE INTO record VALUES ({'?, ' * 12}?)", fresh)


def read_all(results: Path) -> tuple[list[Record], list[Skipped]]:
    """All records below a folder, through the index; and the files that are no records.

    A damaged index is made again; where none can be written, the files are read directly.
    """
    if not results.is_dir():
        return [], []
    for attempt in range(2):
        try:
            with contextlib.closing(_connect(results / INDEX)) as connection:
                _sync(connection, results)
                rows = connection.execute("SELECT path, json, problem FROM record ORDER BY path")
                found = rows.fetchall()
            break
        except sqlite3.DatabaseError as error:
            if attempt or isinstance(error, sqlite3.OperationalError):
                found = _read_plainly(results)  # locked for long, or the folder is read-only
                break
            for name in (INDEX, f"{INDEX}-wal", f"{INDEX}-shm"):
                with contextlib.suppress(OSError):  # of a folder that is read-only
                    (results / name).unlink(missing_ok=True)
    return _parsed(found, results)


def _parsed(
    found: Iterable[tuple[str, str | None, str | None]], results: Path
) -> tuple[list[Record], list[Skipped]]:
    """Judged by what stands in the files: another version may have written the index."""
    good, bad = [], []
    for path, text, problem in found:
        try:
            if text is None:
                raise ValueError(problem)
            good.append(parse(text))
        except ValueError as error:
            bad.append(Skipped(results / path, str(error)))
    return good, bad


def _read_plainly(results: Path) -> list[tuple[str, str | None, str | None]]:
    rows = [_row(p, p.relative_to(results).as_posix(), "") for p in _files(results)]
    return [(row[0], row[11], row[12]) for row in rows]


def find(results: Path, path: Path) -> Record | None:
    """The record at a path below the results folder; None where there is none that is whole."""
    try:
        return parse((results / path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
