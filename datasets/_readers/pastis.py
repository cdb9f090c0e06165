"""Reads PASTIS: series of Sentinel-2 and Sentinel-1 in NumPy files, SPOT images, crop masks."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skybench.core import DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation
from skybench.data.split_lists import MissingFilesError

from . import georeference, layout, pastis_metadata, tiles
from . import raster as _raster
from .pastis_metadata import Patch, day_of

PLACES = ("PASTIS-R", "PASTIS-HD", "PASTIS", "PASTIS-R/PASTIS-R")
FILES = {  # kind -> folder and file of a patch
    "mask": ("ANNOTATIONS", "TARGET_{}.npy"),
    "s2": ("DATA_S2", "S2_{}.npy"),
    "s1a": ("DATA_S1A", "S1A_{}.npy"),
    "s1d": ("DATA_S1D", "S1D_{}.npy"),
    "hr": ("DATA_SPOT/PASTIS_SPOT6_RVB_1M00_2019", "SPOT6_RVB_1M00_2019_{}.tif"),
}
FINER = 10  # SPOT pixels along a Sentinel pixel
VOID = 19  # parcels that are mostly outside their patch

Rotation = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # folds to train, val, test


# The dates that an acquisition is looked for: the middles of the season's months, or of July.
WANTED = {
    "monthly": tuple(
        day_of(datetime.date(2018 + (m > 12), (m - 1) % 12 + 1, 15)) for m in range(10, 22)
    ),
    "single": (day_of(datetime.date(2019, 7, 15)),),
}


class Item(NamedTuple):
    """A tile of a patch."""

    patch: Patch
    y: int
    x: int


class Patches(Samples):
    """Tiles of patches with masks uint8 [H, W]; sensors may differ in T.

    s2 int16, s1a and s1d float, [T, C, H, W]; hr uint8 [1, 3, 10 H, 10 W]. The key is
    <patch>_<y>_<x>; lonlat is the centre of the tile.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        patches: Sequence[Patch],
        folders: Mapping[str, Path],
        dates: str,
    ) -> None:
        """folders: by kind, see FILES; `split.sha256` is filled in here."""
        self.folders, self.dates = dict(folders), dates
        self.files = tuple(self._path(kind, p.key) for p in patches for kind in folders)
        self.whole = int(_array(self._path("mask", patches[0].key), 3).shape[-1])
        side = min(card.tile, self.whole)
        self.card = replace(card, tile=side)
        starts = tiles.starts(self.whole, side, side)
        self.items = tuple(Item(patch, y, x) for patch in patches for y in starts for x in starts)
        self.keys = tuple(f"{item.patch.key}_{item.y}_{item.x}" for item in self.items)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def _path(self, kind: str, key: str) -> Path:
        return self.folders[kind] / FILES[kind][1].format(key)

    def read(self, index: int) -> Sample:
        patch, y, x = self.items[index]
        side = self.card.tile
        images, days = {}, {}
        for sensor in (s for s in self.card.sensors if self.needs(s.name)):
            if sensor.name == "hr":
                images["hr"] = self._spot(sensor, patch, _raster.Window(y, x, side, side))
            else:
                picked = _picked(patch.days[sensor.name], self.dates)
                images[sensor.name] = self._series(sensor, patch, picked, (y, x))
                days[sensor.name] = torch.tensor([patch.days[sensor.name][p] for p in picked])
        target = self._mask(patch, slice(y, y + side), slice(x, x + side))
        window = _raster.Window(y, x, side, side)
        lonlat = georeference.centre(patch.extent, (self.whole, self.whole), window)
        return Sample(self.keys[index], images, target, days, lonlat)

    def _series(
        self, sensor: Sensor, patch: Patch, picked: Sequence[int], at: tuple[int, int]
    ) -> Tensor:
        path = self._path(sensor.name, patch.key)
        stored = _array(path, 4)
        length = len(patch.days[sensor.name])
        expected = (length, len(sensor.bands), self.whole, self.whole)
        if stored.shape != expected:
            raise DataError(
                f"{path} is {_times(stored.shape)}; expected {_times(expected)}: metadata.geojson "
                f"has {length} dates of {sensor.name} for this patch"
            )
        rows, columns = (slice(start, start + self.card.tile) for start in at)
        pixels = np.stack([stored[p, :, rows, columns] for p in picked])
        return torch.from_numpy(pixels.astype(np.int32) if pixels.dtype == np.uint16 else pixels)

    def _spot(self, sensor: Sensor, patch: Patch, window: _raster.Window) -> Tensor:
        path = self._path("hr", patch.key)
        with _raster.opened(path) as raster:
            size, extent = (raster.height, raster.width), georeference.extent(raster)
        side = FINER * self.whole
        if size != (side, side):
            raise DataError(f"{path} is {_times(size)} pixels; expected {_times((side, side))}")
        if georeference.apart(patch.extent, extent):
            raise DataError(
                f"{path} does not lie where metadata.geojson has the patch: {extent}, expected "
                f"{patch.extent}"
            )
        finer = _raster.Window(*(FINER * v for v in window))
        return torch.from_numpy(_raster.image(path, sensor, finer))[None]

    def _mask(self, patch: Patch, rows: slice, columns: slice) -> Tensor:
        path = self._path("mask", patch.key)
        stored = _array(path, 3)
        if stored.shape[1:] != (self.whole, self.whole):
            raise DataError(
                f"{path} is {_times(stored.shape)}; expected 3 x {self.whole} x {self.whole}"
            )
        ids = np.asarray(stored[0, rows, columns], np.int64)
        if ids.min() < 0 or ids.max() > VOID:
            raise DataError(f"{path} holds the classes {np.unique(ids)}; expected 0 to {VOID}")
        first = VOID - len(self.card.classes)  # 1 where the background is left out
        table = np.full(VOID + 1, _raster.IGNORE, np.uint8)
        table[first:VOID] = range(VOID - first)
        return torch.from_numpy(table[ids])


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _array(path: Path, axes: int) -> _raster.Array:
    """A file of numbers, mapped into memory: only what is used is read."""
    with _raster.reading(path):
        try:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except EOFError as error:
            raise OSError("it is empty") from error
        if stored.ndim != axes:
            raise ValueError(f"it has {stored.ndim} axes, expected {axes}")
        if stored.dtype.kind not in "iuf":
            raise ValueError(f"it holds {stored.dtype}, expected numbers")
        return np.asarray(stored)


def _picked(days: Sequence[int], dates: str) -> list[int]:
    """Places in a series: of all acquisitions, or of those nearest to the wanted days."""
    if dates not in WANTED:
        return list(range(len(days)))
    return [min(range(len(days)), key=lambda p: abs(days[p] - day)) for day in WANTED[dates]]


def fits(place: Path) -> bool:
    """Whether a folder is a PASTIS tree."""
    return (place / "metadata.geojson").is_file() and (place / "DATA_S2").is_dir()


def opened(
    card: DatasetCard,
    rotations: Mapping[str, Rotation],
    root: Path,
    split: str,
    tile: int,
    options: Mapping[str, str],
) -> Patches:
    """A split. Raises DataError, UsageError, MissingFilesError."""
    name = layout.choose(card, split)
    tree = layout.locate(card, root, PLACES, fits)
    simulated = simulation.marked(root, tree)
    chosen = layout.settle(card, options, simulation.stated(root))
    folders = {
        kind: place / folder
        for kind, (folder, _) in FILES.items()
        for place in (tree.parent / "PASTIS-HD", tree)  # the tree's own come last and stay
        if (place / folder).is_dir()
    }
    if "mask" not in folders:
        raise layout.wrong(card, tree, "there is no ANNOTATIONS/")
    sensors = tuple(sensor for sensor in card.sensors if sensor.name in folders)
    classes = card.classes[1:] if chosen["classes"] == "18" else card.classes
    card = replace(card, sensors=sensors, classes=classes, tile=tile or card.tile)
    part = name.rstrip("2345")
    folds = rotations[name.removeprefix(part)][("train", "val", "test").index(part)]
    everywhere = pastis_metadata.read(
        tree / "metadata.geojson", [s.name for s in sensors if s.name != "hr"]
    )
    patches = [patch for patch in everywhere if patch.fold in folds]
    if not patches:
        raise DataError(f"split {name!r} of {card.title} in {tree} is empty")
    _present(f"{card.title} in {tree}", patches, folders)
    source = f"official folds {', '.join(map(str, folds))}"
    return Patches(card, Split(name, source, "", simulated), patches, folders, chosen["dates"])


def _present(what: str, patches: Sequence[Patch], folders: Mapping[str, Path]) -> None:
    """Raises MissingFilesError; each folder is listed once."""
    missing = []
    for kind, folder in folders.items():
        there = {path.name for path in folder.iterdir()}
        names = (FILES[kind][1].format(patch.key) for patch in patches)
        missing += [f"{FILES[kind][0]}/{name}" for name in names if name not in there]
    if missing:
        raise MissingFilesError(what, missing)
