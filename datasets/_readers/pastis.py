"""Reads PASTIS: Sentinel-2 and Sentinel-1 series in NumPy files, SPOT images, crop masks."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from skybench.core import DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import once, simulation
from skybench.data.split_lists import MissingFilesError

from . import decode, georeference, layout, pastis_metadata, raster, tiles
from .pastis_metadata import PatchMetadata, days_since_epoch

if TYPE_CHECKING:
    from torch import Tensor

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
        days_since_epoch(datetime.date(2018 + (m > 12), (m - 1) % 12 + 1, 15))
        for m in range(10, 22)
    ),
    "single": (days_since_epoch(datetime.date(2019, 7, 15)),),
}


class PatchTile(NamedTuple):
    """A tile of a patch."""

    patch: PatchMetadata
    y: int
    x: int


class PastisTiles(Samples):
    """Tiles of patches with masks uint8 [H, W]; sensors may differ in T.

    s2 int16, s1a and s1d float, [T, C, H, W]; hr uint8 [1, 3, 10 H, 10 W]. The key is
    <patch>_<y>_<x>; lonlat is the centre of the tile.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        patches: Sequence[PatchMetadata],
        folders: Mapping[str, Path],
        dates: str,
    ) -> None:
        """folders: by kind, see FILES; `split.sha256` is computed here."""
        self.folders, self.dates = dict(folders), dates
        images = [kind for kind in folders if kind != "mask"]
        self.files = tuple(self._path(kind, p.key) for p in patches for kind in images)
        self.label_files = tuple(self._path("mask", p.key) for p in patches)
        self.whole = int(_array(self._path("mask", patches[0].key), 3).shape[-1])
        side = min(card.tile, self.whole)
        self.card = replace(card, tile=side)
        starts = tiles.tile_starts(self.whole, side, side)
        self.items = tuple(
            PatchTile(patch, y, x) for patch in patches for y in starts for x in starts
        )
        self.keys = tuple(f"{item.patch.key}_{item.y}_{item.x}" for item in self.items)
        self.groups = tuple(str(item.patch.key) for item in self.items)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)
        self.plain = self._is_plain()

    def only(self, sensors: Iterable[str]) -> Self:
        fewer = super().only(sensors)
        fewer.plain = fewer._is_plain()
        return fewer

    def _is_plain(self) -> bool:
        """Whether the arrays of series are all that is read."""
        return "hr" not in self.folders or not self.needs("hr")

    def _path(self, kind: str, key: str) -> Path:
        return self.folders[kind] / FILES[kind][1].format(key)

    def read(self, index: int) -> Sample:
        import torch

        patch, y, x = self.items[index]
        side = self.card.tile
        images, days = {}, {}
        for sensor in (s for s in self.card.sensors if self.needs(s.name)):
            if sensor.name == "hr":
                images["hr"] = self._spot(sensor, patch, decode.Window(y, x, side, side))
            else:
                picked = _picked(patch.days[sensor.name], self.dates)
                images[sensor.name] = self._series(sensor, patch, picked, (y, x))
                days[sensor.name] = torch.tensor([patch.days[sensor.name][p] for p in picked])
        window = decode.Window(y, x, side, side)
        lonlat = georeference.window_centre(patch.extent, (self.whole, self.whole), window)
        return Sample(self.keys[index], images, self.target(index), days, lonlat)

    def target(self, index: int) -> Tensor:
        patch, y, x = self.items[index]
        side = self.card.tile
        return self._mask(patch, slice(y, y + side), slice(x, x + side))

    def _series(
        self, sensor: Sensor, patch: PatchMetadata, picked: Sequence[int], at: tuple[int, int]
    ) -> Tensor:
        import torch

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

    def _spot(self, sensor: Sensor, patch: PatchMetadata, window: decode.Window) -> Tensor:
        import torch

        path = self._path("hr", patch.key)
        with decode.keep_raster(path) as source:
            size, extent = (source.height, source.width), georeference.extent_of(source)
        side = FINER * self.whole
        if size != (side, side):
            raise DataError(f"{path} is {_times(size)} pixels; expected {_times((side, side))}")
        if georeference.lie_apart(patch.extent, extent):
            raise DataError(
                f"{path} does not lie where metadata.geojson has the patch: {extent}, expected "
                f"{patch.extent}"
            )
        finer = decode.Window(*(FINER * v for v in window))
        return torch.from_numpy(decode.read_image(path, sensor, finer))[None]

    def _mask(self, patch: PatchMetadata, rows: slice, columns: slice) -> Tensor:
        import torch

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
        table = np.full(VOID + 1, raster.IGNORE, np.uint8)
        table[first:VOID] = range(VOID - first)
        return torch.from_numpy(table[ids])


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _array(path: Path, axes: int) -> decode.Array:
    """Open a NumPy file as a memory map. Raises DataError."""
    with decode.damage_as_data_error(path):
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
    """Return indices into a series: all acquisitions, or those nearest to the wanted days."""
    if dates not in WANTED:
        return list(range(len(days)))
    return [min(range(len(days)), key=lambda p: abs(days[p] - day)) for day in WANTED[dates]]


def is_pastis_tree(place: Path) -> bool:
    """Return whether a folder is a PASTIS tree."""
    return (place / "metadata.geojson").is_file() and (place / "DATA_S2").is_dir()


def open_pastis(
    card: DatasetCard,
    rotations: Mapping[str, Rotation],
    root: Path,
    split: str,
    tile: int,
    options: Mapping[str, str],
) -> PastisTiles:
    """Open a split. Raises DataError, UsageError, MissingFilesError."""
    name = layout.resolve_split(card, split)
    tree = layout.locate_tree(card, root, PLACES, is_pastis_tree)
    simulated = simulation.is_demo(root, tree)
    chosen = layout.resolve_options(card, options, simulation.stated_options(root))
    folders = {
        kind: place / folder
        for kind, (folder, _) in FILES.items()
        for place in (tree.parent / "PASTIS-HD", tree)  # the tree's own come last and stay
        if (place / folder).is_dir()
    }
    if "mask" not in folders:
        raise layout.layout_error(card, tree, "there is no ANNOTATIONS/")
    sensors = tuple(sensor for sensor in card.sensors if sensor.name in folders)
    classes = card.classes[1:] if chosen["classes"] == "18" else card.classes
    card = replace(card, sensors=sensors, classes=classes, tile=tile or card.tile)
    part = name.rstrip("2345")
    folds = rotations[name.removeprefix(part)][("train", "val", "test").index(part)]
    everywhere = pastis_metadata.read_metadata(
        tree / "metadata.geojson", tuple(s.name for s in sensors if s.name != "hr")
    )
    patches = [patch for patch in everywhere if patch.fold in folds]
    if not patches:
        raise DataError(f"split {name!r} of {card.title} in {tree} is empty")
    _present(f"{card.title} in {tree}", patches, folders)
    source = f"official folds {', '.join(map(str, folds))}"
    split_of = Split(name, source, "", simulated)
    samples = PastisTiles(card, split_of, patches, folders, chosen["dates"])
    samples.files += (tree / "metadata.geojson",)  # the dates and the place
    return samples


def _present(what: str, patches: Sequence[PatchMetadata], folders: Mapping[str, Path]) -> None:
    """Raise MissingFilesError for missing files; each folder is listed once."""
    missing = []
    for kind, folder in folders.items():
        available = {*once.list_folder(folder).every}
        names = (FILES[kind][1].format(patch.key) for patch in patches)
        missing += [f"{FILES[kind][0]}/{name}" for name in names if name not in available]
    if missing:
        raise MissingFilesError(what, missing)
