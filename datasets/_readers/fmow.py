"""Reads fMoW-Sentinel: images and the CSV file that lists them."""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import once, simulation, split_lists

from . import decode, layout
from .causes import cause_of
from .name_dates import EPOCH

LOOKED_FOR = 200  # images that are looked for when a split is opened
FOLDER = "fmow-sentinel"
PARTS = {"train": "train", "val": "val", "test": "test_gt"}  # split -> folder and CSV file
NAMING = ("category", "location_id", "image_id")  # the columns that make the path
NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


class ImageTable(NamedTuple):
    """A CSV file with the byte offset of each row: 700,000 polygons would fill the memory."""

    path: Path
    header: list[str]
    starts: array[int]  # of the rows, in bytes
    keys: tuple[str, ...]
    labels: tuple[int, ...]

    def row(self, index: int) -> dict[str, str]:
        """Return a row by column name; short rows lack the last columns."""
        with self.path.open("rb") as file:
            file.seek(self.starts[index])
            line = file.readline().decode()
        return dict(zip(self.header, next(csv.reader([line])), strict=False))


class FmowImages(Samples):
    """Images [1, C, H, W] of varying size (uint16 as int32) with their class id.

    The key is <folder>/<category>_<location_id>_<image_id>. `files` holds the CSV file and
    some 200 images: checking all of them would take minutes.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        tree: Path,
        table: ImageTable,
        dropped: Collection[str],
    ) -> None:
        """tree: the folder with those of the splits; `split.sha256` is computed here."""
        self.stored = card.sensors[0]
        self.kept = [i for i, band in enumerate(self.stored.bands) if band not in dropped]
        bands = tuple(self.stored.bands[i] for i in self.kept)
        self.card = replace(card, sensors=(replace(self.stored, bands=bands),))
        self.tree, self.table = tree, table
        self.keys = table.keys
        self.groups = tuple(key.rsplit("_", 1)[0] for key in self.keys)  # locations
        self.whole_images = True
        self.labels: tuple[int, ...] = table.labels
        self.split = replace(split, sha256=fingerprint_keys(self.keys))
        some = range(0, len(self.keys), max(1, len(self.keys) // LOOKED_FOR))
        self.files = (table.path, *(self.image(index) for index in some))
        self.label_files = (table.path,)

    def image(self, index: int) -> Path:
        """Return the path of an image."""
        part, name = self.keys[index].split("/")
        place = name.rsplit("_", 1)[0]
        return self.tree / part / place.rsplit("_", 1)[0] / place / f"{name}.tif"

    def read(self, index: int) -> Sample:
        import torch

        pixels = torch.from_numpy(decode.read_image(self.image(index), self.stored))
        images = {self.stored.name: pixels[self.kept][None]}
        row = self.table.row(index)
        try:
            day = date.fromisoformat(row["timestamp"][:10]).toordinal() - EPOCH
            lonlat = _centre(row.get("polygon", ""))
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self.table.path} has no date as 2016-03-12T10:11:12Z, or no polygon of "
                f"longitudes and latitudes, in the row of {self.keys[index]}: {error}"
            ) from error
        days = {self.stored.name: torch.tensor([day])}
        return Sample(self.keys[index], images, self.labels[index], days, lonlat)

    def target(self, index: int) -> int:
        return self.labels[index]


def _centre(polygon: str) -> tuple[float, float]:
    """Return the centre of a polygon's bounding box; NaN without one. Raises ValueError."""
    numbers = [float(number) for number in NUMBER.findall(polygon)]
    if not polygon.strip():
        return math.nan, math.nan
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers in {polygon[:60]!r}")
    lon, lat = numbers[::2], numbers[1::2]
    return (min(lon) + max(lon)) / 2, (min(lat) + max(lat)) / 2


def open_fmow(
    card: DatasetCard, root: Path, split: str, dropped: Collection[str] = ()
) -> FmowImages:
    """Open a split; reads its CSV file (700,000 rows in two seconds). Raises DataError."""
    part = PARTS[split]
    tree = layout.locate_tree(card, root, (FOLDER,), _fits)
    tables = [place / f"{part}.csv" for place in (tree, tree.parent)]
    csv_file = next((path for path in tables if path.is_file()), None)
    if csv_file is None:
        raise layout.layout_error(card, root, f"there is no {part}.csv in {tree.parent} or {tree}")
    simulated = simulation.is_demo(root, tree, tree.parent)
    if simulated:
        available = {*once.list_folder(tree / "train").every}
        card = replace(card, classes=tuple(c for c in card.classes if c in available))
    table = _scan(csv_file, part, card)
    source = f"official list: {part}.csv of fMoW-Sentinel"
    samples = FmowImages(card, Split(split, source, "", simulated), tree, table, dropped)
    missing = [path for path in samples.files if not path.is_file()]
    if missing:
        names = (path.relative_to(root).as_posix() for path in missing)
        raise split_lists.MissingFilesError(f"{card.title} in {root}", names)
    return samples


def _fits(place: Path) -> bool:
    return any((place / part).is_dir() for part in PARTS.values())


def _scan(path: Path, part: str, card: DatasetCard) -> ImageTable:
    """Index the rows of a CSV file, one line each. Raises DataError."""
    ids = {title: number for number, title in enumerate(card.classes)}
    starts, keys, labels = array("q"), [], []
    at = end = 0

    def lines() -> Iterator[str]:
        nonlocal at, end
        with path.open("rb") as file:
            for line in file:
                at, end = end, end + len(line)
                yield line.decode("utf-8-sig")  # some editors leave a mark at the beginning

    rows = csv.reader(lines())
    try:
        header = next(rows, [])
        category, location, image = (header.index(column) for column in NAMING)
        for row in filter(None, rows):
            labels.append(ids[row[category]])
            keys.append(f"{part}/{row[category]}_{int(row[location])}_{int(row[image])}")
            starts.append(at)
    except (KeyError, IndexError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read at line {rows.line_num} ({cause_of(error)}); "
            f"expected the columns {', '.join(NAMING)}, timestamp and polygon, and one of the "
            f"{len(ids)} categories, as {card.classes[0]}. Get this file again."
        ) from error
    if not keys:
        raise DataError(f"{path} names no image. Get this file again.")
    if len(set(keys)) < len(keys):
        twice = Counter(keys).most_common(1)[0][0]
        raise DataError(f"{path} names {twice} twice; remove one of the two rows")
    return ImageTable(path, header, starts, tuple(keys), tuple(labels))
