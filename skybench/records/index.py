"""Records as tables need them, remembered so that an unchanged file costs one `stat`.

The memory is a file in the cache for each results folder, which may be deleted, damaged or
read-only at any time: only the record files count. A row is taken from it only where size, time
stamps, inode and device are those of the file that was read (see `core.file_hash`), and nothing is
taken that other rules of reading had made.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skybench.core import Record, folders
from skybench.core import record as fields
from skybench.core.atomic import write_whole
from skybench.core.file_hash import State, file_state, is_settled, is_trusted, state_of_stat
from skybench.core.record import with_fields
from skybench.records import schema, store
from skybench.records.store import SkippedFile

# Of `used`: what only a reader of one record wants, and what differs in every record.
LEFT_OUT = frozenset(
    ("features", "coverage", "inputs", "error", "prediction_bytes", "alarms", "states")
)
PLAIN = (
    "model", "task", "dataset", "status", "data", "fingerprint", "made", "note", "schema",
    "scores", "intervals",
)  # fmt: skip
# Equal in many records, and stored once.
SHARED = ("recipe", "used", "flags", "samples", "spread", "seeds")
FIELDS = (*PLAIN, *SHARED)

BLANK = Record("", "", "", {}, "measured", "real", "")

Row = list[Any] | str  # the fields of PLAIN and the places of SHARED; or why it is no record


def brief(record: Record) -> Record:
    """Return a record as `read_brief` does: without what no table shows.

    Absent are the scores by class, costs and traceback, and the LEFT_OUT of `used`; splits keep
    their hashes only. The main score alone has an interval, a spread and, where there are several
    seeds, a value for each.
    """
    used = {n: v for n, v in record.used.items() if n not in LEFT_OUT}
    if "splits" in used:
        used["splits"] = {
            role: {"sha256": split.get("sha256", "")} for role, split in used["splits"].items()
        }
    given = {n: getattr(record, n) for n in FIELDS}
    main = record.main[0] if record.main else ""
    for name in ("intervals", "spread"):
        given[name] = _only(main, given[name])
    several = len(record.seeds) > 1
    seeds = [
        _only("seed", seed) | ({"scores": _only(main, seed.get("scores", {}))} if several else {})
        for seed in record.seeds
    ]
    return Record(**{**given, "used": used, "seeds": seeds})


def _only(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name]} if name in values else {}


def read_brief(results: Path) -> tuple[dict[str, Record], list[SkippedFile]]:
    """Return all records below a folder, see `brief`, and the files that are not records.

    Records stand by the names of their files, <task>/<dataset>/<name>.json, in order. They share
    the objects of equal recipes, `used`, flags and samples, so that what is computed of one can be
    kept for the others by `id`.
    """
    memory = _Memory.of(results)
    good: dict[str, Record] = {}
    bad = []
    for path, name, state in _files(results):
        row = memory.row(name, state)
        if row is None:
            row = _read(Path(path), memory)
            if row is None:  # deleted since it was listed
                continue
            memory.remember(name, row, state if is_settled(Path(path), state) else None)
        if isinstance(row, str):
            bad.append(SkippedFile(Path(path), row))
        else:
            good[name] = memory.record(row)
    memory.save()
    return good, bad


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pause the search for circular references, of which records have none.

    It looks at every object again and again while many are made: a third of a table's time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _files(results: Path) -> Iterator[tuple[str, str, State]]:
    """Yield path, name below the folder and state of every record file, sorted by path."""
    for task in _entries(results):
        for dataset in _entries(task):
            for entry in _entries(dataset):
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        name = f"{task.name}/{dataset.name}/{entry.name}"
                        yield entry.path, name, state_of_stat(entry.stat())


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name; nothing where it is none, or cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _read(path: Path, memory: _Memory) -> Row | None:
    """The row of a file that is read; None where it has gone."""
    try:
        found = store.read_file(path)
    except FileNotFoundError:
        return None
    return found if isinstance(found, str) else memory.row_of(brief(found))


class _Memory:
    """The rows of one results folder: what was stored, and what is read now."""

    def __init__(self, file: Path, rows: Mapping[str, list[Any]], parts: list[Any]) -> None:
        self.file, self.known, self.parts = file, rows, parts
        self.kept: dict[str, list[Any]] = {}  # name -> [state, row], to be stored
        self.places: dict[str, int] | None = None  # JSON of a shared part -> its place
        self.changed = False

    @classmethod
    def of(cls, results: Path) -> _Memory:
        """What is stored of a folder; empty where that is nothing, damaged, or by other rules."""
        name = hashlib.sha256(str(results.absolute()).encode("utf-8", "surrogatepass")).hexdigest()
        file = folders.cache() / "records" / f"{name[:24]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            digest, _, body = file.read_bytes().partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() == digest:
                stored = json.loads(body)
                if stored["rules"] == _rules():
                    return cls(file, stored["rows"], stored["parts"])
        return cls(file, {}, [])

    def row(self, name: str, state: State) -> Row | None:
        """The row of a file of this state; None where it must be read."""
        entry = self.known.get(name)
        if entry is None or entry[0] != list(state) or not is_trusted(state):
            return None
        self.kept[name] = entry
        row: Row = entry[1]
        return row

    def remember(self, name: str, row: Row, state: State | None) -> None:
        """Keep the row of a file that was read; state: None where it may change unseen."""
        if state is not None:
            self.kept[name] = [list(state), row]
            self.changed = True

    def row_of(self, record: Record) -> list[Any]:
        """The row of a record."""
        if self.places is None:
            self.places = {json.dumps(part): place for place, part in enumerate(self.parts)}
        row = [getattr(record, name) for name in PLAIN]
        for name in SHARED:
            part = getattr(record, name)
            place = self.places.setdefault(json.dumps(part), len(self.parts))
            if place == len(self.parts):
                self.parts.append(part)
            row.append(place)
        return row

    def record(self, row: list[Any]) -> Record:
        """The record of a row."""
        shared = map(self.parts.__getitem__, row[len(PLAIN) :])
        return with_fields(BLANK, **dict(zip(FIELDS, [*row[: len(PLAIN)], *shared], strict=True)))

    def save(self) -> None:
        """Store what is kept, if it is other than before."""
        if not self.changed and len(self.kept) == len(self.known):
            return
        rules = _rules()
        body = json.dumps({"rules": rules, "rows": self.kept, "parts": self.parts}).encode()
        with contextlib.suppress(OSError), write_whole(self.file) as temporary:
            temporary.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def _rules() -> list[list[int]]:
    """The states of the sources by which a file is judged: after an edit nothing is believed."""
    files = (fields.__file__, schema.__file__, store.__file__, __file__)
    return [list(file_state(Path(file or ""))) for file in files]
