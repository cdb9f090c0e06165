"""Merging of the records of several machines into one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, Record
from skybench.records import store
from skybench.records.store import SkippedFile


class Conflict(NamedTuple):
    """Two records of one cell with different results; the one in the target folder is kept."""

    path: Path  # relative to the results folder
    kept: str  # main score, device and revision of the record in the target folder
    other: str  # the same of the record that was not copied


class MergeReport(NamedTuple):
    """The result of a merge: counts of records, conflicts, and unusable files."""

    copied: int
    same: int
    conflicts: list[Conflict]
    skipped: list[SkippedFile]


def merge_results(sources: Sequence[Path], target: Path) -> MergeReport:
    """Copy records with their predictions and pictures into a folder, without replacing results.

    Two records of one fingerprint whose scores differ (another device, version or revision) are a
    conflict, and the one in `target` is kept. A completed record replaces one that could not run.
    Raises DataError for a source that is not a folder.
    """
    copied, same = 0, 0
    conflicts: list[Conflict] = []
    skipped: list[SkippedFile] = []
    for source in sources:
        if not source.is_dir():
            raise DataError(
                f"{source} is not a folder; expected one with records of `skybench run`"
            )
        found, bad = store.read_records(source)
        skipped += bad
        for record in found:
            present = store.find_record(target, record.path)
            if present is not None and (present.came_out or not record.came_out):
                if present.scores == record.scores and present.status == record.status:
                    same += 1
                else:
                    conflicts.append(Conflict(record.path, _summary(present), _summary(record)))
                continue
            _copy(record, source, target)
            copied += 1
    return MergeReport(copied, same, conflicts, skipped)


def _copy(record: Record, source: Path, target: Path) -> None:
    """Copy a record after the files beside it, so that no record ever lacks them."""
    destination = target / record.path
    destination.parent.mkdir(parents=True, exist_ok=True)
    kept = (source / record.path).with_suffix(".npz")
    if kept.is_file():
        shutil.copyfile(kept, destination.with_suffix(".npz"))
    pictures = (source / record.path).with_suffix("")
    if pictures.is_dir():
        shutil.copytree(pictures, destination.with_suffix(""), dirs_exist_ok=True)
    store.write_record(record, target)


def _summary(record: Record) -> str:
    name, score = record.main or (record.status, float("nan"))
    used = record.used
    where = f"{used.get('device', '?')}, {used.get('revision', '')[:8] or 'no revision'}"
    return f"{name} {score:.4f} ({where}, {record.made})"
