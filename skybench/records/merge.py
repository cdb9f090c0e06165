"""Merging of the records of several machines into one folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, Record
from skybench.core.atomic import write_whole
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
    completed: int = 0  # of `same`: records whose predictions or pictures were missing here


def merge_results(sources: Sequence[Path], target: Path) -> MergeReport:
    """Copy records with their predictions and pictures into a folder, without replacing results.

    A file keeps its place below the source; what a record says of itself never makes a path.
    Two records of one fingerprint whose scores differ (another device, version or revision) are a
    conflict, and the one in `target` is kept. A completed record replaces one that could not run.
    Of a record that is there already, predictions and pictures are copied where `target` lacks
    them. Raises DataError for a source that is not a folder.
    """
    counts: Counter[str] = Counter()
    conflicts: list[Conflict] = []
    skipped: list[SkippedFile] = []
    for source in sources:
        if not source.is_dir():
            raise DataError(
                f"{source} is not a folder; expected one with records of `skybench run`"
            )
        found, bad = store.read_stored(source)
        skipped += bad
        for path, record in found:
            if path != record.path:
                reason = f"not at the place that its content names ({record.path}); move it there"
                skipped.append(SkippedFile(source / path, reason))
                continue
            present = store.find_record(target, path)
            if present is None or (record.came_out and not present.came_out):
                _copy(path, source, target)
                counts["copied"] += 1
            elif _is_same(present, record):
                counts["same"] += 1
                counts["completed"] += _complete(path, source, target)
            else:
                conflicts.append(Conflict(path, _summary(present), _summary(record)))
    return MergeReport(counts["copied"], counts["same"], conflicts, skipped, counts["completed"])


def _is_same(one: Record, other: Record) -> bool:
    return (one.fingerprint, one.status, one.scores) == (
        other.fingerprint, other.status, other.scores,
    )  # fmt: skip


def _copy(path: Path, source: Path, target: Path) -> None:
    """Copy a record after the files beside it, so that no record ever lacks them."""
    (target / path).with_suffix(".npz").unlink(missing_ok=True)  # of what is replaced
    shutil.rmtree((target / path).with_suffix(""), ignore_errors=True)
    _complete(path, source, target)
    with write_whole(target / path, sync=True) as temporary:
        shutil.copyfile(source / path, temporary)
    (target / path).with_suffix(store.FAILED).unlink(missing_ok=True)


def _complete(path: Path, source: Path, target: Path) -> bool:
    """Copy the predictions and pictures that the target lacks; return whether there were any."""
    brought = False
    kept, place = (source / path).with_suffix(".npz"), (target / path).with_suffix(".npz")
    if kept.is_file() and not place.exists():
        with write_whole(place) as temporary:
            shutil.copyfile(kept, temporary)
        place.with_suffix(".draws").unlink(missing_ok=True)
        brought = True
    folder = (source / path).with_suffix("")
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        there = target / file.relative_to(source)
        if file.is_file() and not file.is_symlink() and not there.exists():
            with write_whole(there) as temporary:
                shutil.copyfile(file, temporary)
            brought = True
    return brought


def _summary(record: Record) -> str:
    name, score = record.main or (record.status, float("nan"))
    used = record.used
    where = f"{used.get('device', '?')}, {used.get('revision', '')[:8] or 'no revision'}"
    return f"{name} {score:.4f} ({where}, {record.made})"
