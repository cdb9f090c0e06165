"""Finds the files of DynamicEarthNet and puts together what belongs to a month of a cube."""

from __future__ import annotations

import calendar
import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError
from skybench.data.split_lists import MissingFilesError

from . import dates as _dates
from .dynamic_facts import CUBES, LATER, MONTHS, MOST_GAPS, UNSEEN, WEEKLY

CUBE = re.compile(r"(?<!\d)\d{3,4}_\d{4}_13(?!\d)")
LABEL = re.compile(r".*-(\d{4})[-_](\d\d)[-_]01\.tif")
DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)\.tif")
MONTH = re.compile(r"(?<!\d)(201[89])[-_](\d\d)(?!\d)")
SKIPPED = ("PF-QA", "Vector", "__MACOSX")
SENTINELS = {"sentinel1": "s1", "sentinel2": "s2"}
LISTS = (".", "dynnet_training_splits", "splits")

Stamped = dict[str, dict[str, Path]]  # cube -> "2018-01" or "2018-01-31" -> file


class Dated(NamedTuple):
    """An image and its day since 1970-01-01."""

    path: Path
    day: int


class Month(NamedTuple):
    """A label and the images that belong to it."""

    cube: str
    month: str  # "2018-01"
    label: Path
    images: Mapping[str, tuple[Dated, ...]]  # by sensor, in order of time


def fits(place: Path) -> bool:
    """Whether a folder holds labels."""
    return any("labels" in path.name.lower() and path.is_dir() for path in place.iterdir())


def scan(tree: Path, sensors: Sequence[str]) -> dict[str, Stamped]:
    """The labels ("label") and the images of these sensors. Raises DataError for two of one kind.

    Folders are listed and no file is touched: a second for all of DynamicEarthNet.
    """
    found: dict[str, Stamped] = {kind: {} for kind in ("label", *sensors)}
    for folder, names in _folders(tree, "hr" in sensors):
        kind, cube = _kind(folder.relative_to(tree).parts)
        for name in sorted(names) if kind in found else ():
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
    """Folders and the files in them, each listed once; a loop of links is walked once."""
    seen = set()
    skipped = SKIPPED if planet else (*SKIPPED, "PF-SR")
    for place, below, names in os.walk(tree, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(b for b in below if b not in skipped and not b.startswith("."))
        yield Path(place), names


def _kind(parts: Sequence[str]) -> tuple[str, str]:
    """What a folder's files are, and of which cube; "" where that is not known."""
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
    """The month of a label or composite, the day of a Planet image; "" where there is none."""
    match = {"label": LABEL.fullmatch, "hr": DAY.fullmatch}.get(kind, MONTH.search)(name)
    return "-".join(match.groups()) if match else ""


def agree(places: Iterable[Path]) -> None:
    """Raises DataError if official lists lie in these places and know a cube otherwise."""
    for split, cubes in CUBES.items():
        for path in (place / folder / f"{split}.txt" for place in places for folder in LISTS):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                other = sorted({_cube(line) for line in lines} - {*cubes, ""})
                if other:
                    raise DataError(
                        f"{path} has {', '.join(other)}, which this reader does not know as "
                        f"cubes of {split}. Its own lists stand in datasets/_dynamic_facts.py; if "
                        "the file is the official one they are wrong: please report it"
                    )


def cubes_of(found: Mapping[str, Stamped], split: str, cubes: str, demo: bool) -> list[str]:
    """The cubes of a split; cubes: the option. Demo data have some of them."""
    there = set(found["label"] if demo else CUBES[split])
    if cubes == "53":
        there -= set(LATER)
    elif UNSEEN not in found.get("hr", (UNSEEN,)):
        there -= {UNSEEN}
    return [cube for cube in CUBES[split] if cube in there]


class Search:
    """Collects months; `missing` are files that should be there, `gaps` composites that are not.

    Of demo data the labels' months and the Planet images' days that are there will do.
    """

    def __init__(self, found: Mapping[str, Stamped], dates: str, demo: bool) -> None:
        self.found, self.dates, self.demo = found, dates, demo
        self.missing: list[str] = []
        self.gaps: dict[tuple[str, str], list[str]] = {}  # by cube and month

    def cube(self, cube: str) -> tuple[Month, ...]:
        """The months of a cube."""
        labels = self.found["label"].get(cube, {})
        months = sorted(labels) if self.demo else MONTHS
        self.missing += [f"labels/{cube}_…/…-{m}-01.tif" for m in months if m not in labels]
        return tuple(
            Month(cube, month, labels.get(month, Path()), self._images(cube, month))
            for month in months
        )

    def _images(self, cube: str, month: str) -> dict[str, tuple[Dated, ...]]:
        return {
            sensor: (self._planet if sensor == "hr" else self._composite)(sensor, cube, month)
            for sensor in self.found
            if sensor != "label"
        }

    def _planet(self, sensor: str, cube: str, month: str) -> tuple[Dated, ...]:
        files = self.found[sensor].get(cube, {})
        length = calendar.monthrange(*map(int, month.split("-")))[1]
        days = {"single": (1,), "weekly": WEEKLY}.get(self.dates, range(1, length + 1))
        stamps = [f"{month}-{day:02}" for day in days]
        if self.demo:
            stamps = [stamp for stamp in stamps if stamp in files] or stamps[:1]
        there = [stamp for stamp in stamps if stamp in files]
        self.missing += [f"planet/…/{cube}/PF-SR/{s}.tif" for s in stamps if s not in there]
        return tuple(_dated(files[stamp], stamp) for stamp in there)

    def _composite(self, sensor: str, cube: str, month: str) -> tuple[Dated, ...]:
        """The month's image, else that of the last month that has one, else of the next."""
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
        """Raises MissingFilesError unless all is there but the composites that nobody has."""
        many = len(self.gaps) > MOST_GAPS
        missing = self.missing + [gap for gaps in self.gaps.values() for gap in gaps if many]
        if missing:
            raise MissingFilesError(what, missing)


def _dated(path: Path, date: str) -> Dated:
    try:
        return Dated(path, datetime.date.fromisoformat(date).toordinal() - _dates.EPOCH)
    except ValueError as error:
        raise DataError(f"{path} has no date in its name: {error}") from error
