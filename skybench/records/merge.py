"""Records of several machines in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, Record
from skybench.records import store
from skybench.records.store import Skipped


class Conflict(NamedTuple):
    """Two records of one cell that say different things; the one that was there stays."""

    path: Path
    kept: str
    other: str


class Merged(NamedTuple):
    """What a merge did."""

    copied: int
    same: int
    conflicts: list[Conflict]
    skipped: list[Skipped]


def merge(sources: Sequence[Path], target: Path) -> Merged:
    """Copies records with their predictions and pictures; nothing that is there is replaced.

    Two records of one fingerprint whose scores differ are a conflict (another device, version or
    revision): the first stays. A measured record takes the place of one that could not run.
    Raises DataError for a source that is no folder.
    """
    copied, same = 0, 0
    conflicts: list[Conflict] = []
    skipped: list[Skipped] = []
    for source in sources:
        if not source.is_dir():
            raise DataError(f"{source} is no folder; expected one with records of `skybench run`")
        found, bad = store.read_all(source)
        skipped += bad
        for record in found:
            there = store.find(target, record.path)
            if there is not None and (there.came_out or not record.came_out):
                if there.scores == record.scores and there.status == record.status:
                    same += 1
                else:
                    conflicts.append(Conflict(record.path, _told(there), _told(record)))
                continue
            _copy(record, source, target)
            copied += 1
    return Merged(copied, same, conflicts, skipped)


def _copy(record: Record, source: Path, target: Path) -> None:
    """The files beside a record first, so that a record is never there without them."""
    destination = target / record.path
    destination.parent.mkdir(parents=True, exist_ok=True)
    kept = (source / record.path).with_suffix(".npz")
    if kept.is_file():
        shutil.copyfile(kept, destination.with_suffix(".npz"))
    pictures = (source / record.path).with_suffix("")
    if pictures.is_dir():
        shutil.copytree(pictures, destination.with_suffix(""), dirs_exist_ok=True)
    store.write(record, target)


def _told(record: Record) -> str:
    name, score = record.main or (record.status, float("nan"))
    used = record.used
    where = f"{used.get('device', '?')}, {used.get('revision', '')[:8] or 'no revision'}"
    return f"{name} {score:.4f} ({where}, {record.made})"
