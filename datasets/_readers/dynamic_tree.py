"""Finds the files of DynamicEarthNet and groups them by cube and month."""

from __future__ import annotations

import calendar
import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError
from skybench.data import once
from skybench.data.split_lists import MissingFilesError

from . import name_dates
from .dynamic_facts import CUBES, LATER, MONTHS, MOST_GAPS, UNSEEN, WEEKLY

CUBE = re.compile(r"(?<!\d)\d{3,4}_\d{4}_13(?!\d)")
LABEL = re.compile(r".*-(\d{4})[-_](\d\d)[-_]01\.tif")
DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)\.tif")
MONTH = re.compile(r"(?<!\d)(201[89])[-_](\d\d)(?!\d)")
SKIPPED = ("PF-QA", "Vector", "__MACOSX")
SENTINELS = {"sentinel1": "s1", "sentinel2": "s2"}
LISTS = (".", "dynnet_training_splits", "splits")

Stamped = dict[str, dict[str, Path]]  # cube -> "2018-01" or "2018-01-31" -> file


class DatedImage(NamedTuple):
    """An image and its day, since 1970-01-01."""

    path: Path
    day: int


class LabelledMonth(NamedTuple):
    """A month's label and its images."""

    cube: str
    month: str  # "2018-01"
    label: Path
    images: Mapping[str, tuple[DatedImage, ...]]  # by sensor, in order of time


def holds_labels(place: Path) -> bool:
    """Return whether a folder holds labels."""
    return any("labels" in name.lower() for name in once.list_folder(place).folders)


@once.once_a_plan
def scan_cubes(tree: Path, sensors: tuple[str, ...]) -> dict[str, Stamped]:
    """Find the labels ("label") and images of these sensors. Raises DataError for duplicates.

    Only lists folders, without opening files: a second for all of DynamicEarthNet.
    """
    found: dict[str, Stamped] = {kind: {} for kind in ("label", *sensors)}
    for folder, names in _folders(tree, "hr" in sensors):
        kind, cube = _kind(folder.relative_to(tree).parts)
        for name in names if kind in found else ():
            own, stamp = cube or _cube(name), _stamp(kind, name)
            if not (own and stamp and name.endswith(".tif")) or name.startswith("."):
                continue
            files = found[kind].setdefault(own, {})
            if stamp in files:
                raise DataError(
                    f"{folder / name} and {files[stamp]} are both of cube {own} and {stamp}; "
                    "remove one"
                )
            files[stamp] = folder / name
    return found


def _folders(tree: Path, planet: bool) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders and the files in them; circular links are followed once."""
    seen = set()
    skipped = SKIPPED if planet else (*SKIPPED, "PF-SR")
    waiting = [tree]
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            listed = once.list_folder(place)
        except OSError:  # one that may not be read is as if absent
            continue
        below = [b for b in listed.folders if b not in skipped and not b.startswith(".")]
        waiting += [place / name for name in reversed(below)]
        yield place, sorted((*listed.files, *listed.others))


def _kind(parts: Sequence[str]) -> tuple[str, str]:
    """Return the kind of a folder's files and their cube; "" where unknown."""
    cube = next(filter(None, map(_cube, parts)), "")
    for part in parts:
        for start, sensor in SENTINELS.items():
            if part.lower().replace("-", "").startswith(start):
                return sensor, cube
    if parts and parts[-1] == "PF-SR":
        return "hr", cube
    return ("label" if any("labels" in part.lower() for part in parts) else ""), cube


def _cube(name: str) -> str:
    match = CUBE.search(name)
    return match[0] if match else ""


def _stamp(kind: str, name: str) -> str:
    """Return the month of a label or composite, the day of a Planet image; "" without a date."""
    match = {"label": LABEL.fullmatch, "hr": DAY.fullmatch}.get(kind, MONTH.search)(name)
    return "-".join(match.groups()) if match else ""


def require_official_splits(places: Iterable[Path]) -> None:
    """Raise DataError if official lists in these folders disagree with the splits here."""
    for split, cubes in CUBES.items():
        for path in (place / folder / f"{split}.txt" for place in places for folder in LISTS):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                other = sorted({_cube(line) for line in lines} - {*cubes, ""})
                if other:
                    raise DataError(
                        f"{path} has {', '.join(other)}, which this reader does not know as "
                        f"cubes of {split}. Its own lists are in datasets/_readers/"
                        "dynamic_facts.py; if the file is the official one they are wrong: please "
                        "report it"
                    )


def cubes_of(found: Mapping[str, Stamped], split: str, cubes: str, demo: bool) -> list[str]:
    """Return the cubes of a split; cubes: the option's value. Demo data hold a subset."""
    available = set(found["label"] if demo else CUBES[split])
    if cubes == "53":
        available -= set(LATER)
    elif UNSEEN not in found.get("hr", (UNSEEN,)):
        available -= {UNSEEN}
    return [cube for cube in CUBES[split] if cube in available]


class MonthSearch:
    """Collects the months of cubes, missing files (`missing`) and missing composites (`gaps`).

    Demo data need only some months and days.
    """

    def __init__(self, found: Mapping[str, Stamped], dates: str, demo: bool) -> None:
        self.found, self.dates, self.demo = found, dates, demo
        self.missing: list[str] = []
        self.gaps: dict[tuple[str, str], list[str]] = {}  # by cube and month

    def cube(self, cube: str) -> tuple[LabelledMonth, ...]:
        """Return the months of a cube."""
        labels = self.found["label"].get(cube, {})
        months = sorted(labels) if self.demo else MONTHS
        self.missing += [f"labels/{cube}_…/…-{m}-01.tif" for m in months if m not in labels]
        return tuple(
            LabelledMonth(cube, month, labels.get(month, Path()), self._images(cube, month))
            for month in months
        )

    def _images(self, cube: str, month: str) -> dict[str, tuple[DatedImage, ...]]:
        return {
            sensor: (self._planet if sensor == "hr" else self._composite)(sensor, cube, month)
            for sensor in self.found
            if sensor != "label"
        }

    def _planet(self, sensor: str, cube: str, month: str) -> tuple[DatedImage, ...]:
        files = self.found[sensor].get(cube, {})
        length = calendar.monthrange(*map(int, month.split("-")))[1]
        days = {"single": (1,), "weekly": WEEKLY}.get(self.dates, range(1, length + 1))
        stamps = [f"{month}-{day:02}" for day in days]
        if self.demo:
            stamps = [stamp for stamp in stamps if stamp in files] or stamps[:1]
        available = [stamp for stamp in stamps if stamp in files]
        self.missing += [f"planet/…/{cube}/PF-SR/{s}.tif" for s in stamps if s not in available]
        return tuple(_dated(files[stamp], stamp) for stamp in available)

    def _composite(self, sensor: str, cube: str, month: str) -> tuple[DatedImage, ...]:
        """Return the month's composite, else that of the nearest month before, else after."""
        files = self.found[sensor].get(cube, {})
        if month not in files:
            folder = next(name for name, own in SENTINELS.items() if own == sensor)
            gap = f"{folder}/…/{cube}/…{month}….tif"
            if not files:
                self.missing.append(gap)
                return ()
            self.gaps.setdefault((cube, month), []).append(gap)
        nearest = max((m for m in files if m <= month), default=min(files))
        return (_dated(files[nearest], f"{nearest}-15"),)

    def check(self, what: str) -> None:
        """Raise MissingFilesError for missing files other than composites that nobody has."""
        many = len(self.gaps) > MOST_GAPS
        missing = self.missing + [gap for gaps in self.gaps.values() for gap in gaps if many]
        if missing:
            raise MissingFilesError(what, missing)


def _dated(path: Path, date: str) -> DatedImage:
    try:
        return DatedImage(path, datetime.date.fromisoformat(date).toordinal() - name_dates.EPOCH)
    except ValueError as error:
        raise DataError(f"{path} has no date in its name: {error}") from error
