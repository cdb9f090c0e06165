"""Reads pairs of images with a mask of what changed, cut into tiles without overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from skybench.core import DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import georeference
from . import raster as _raster

# 0 and 255 as stored; anything else is an error
CHANGE = _raster.Legend(2, (((0, 0, 0), 0), ((255, 255, 255), 1)))

Paths = tuple[Path, ...]  # of one date: one image, or one file a band
Decode = Callable[[Paths, Sensor, _raster.Window], _raster.Array]  # -> [C, height, width]


class Pair(NamedTuple):
    """One place at two dates."""

    key: str
    dates: tuple[Paths, Paths]
    mask: Path
    days: tuple[int, int] | None = None  # since 1970-01-01
    extent: georeference.Extent = georeference.NOWHERE  # of the first date


class Tile(NamedTuple):
    """Where one sample lies."""

    pair: Pair
    window: _raster.Window
    shape: tuple[int, int]  # of the mask, height and width


class PairTiles(Samples):
    """Tiles [2, C, side, side] with masks uint8 [side, side]: 1 changed, 255 padded.

    Tiles lie side by side from the upper left; those over the edge are padded with 0. The key is
    <pair>_<y>_<x>, with the tile's first row and column.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        pairs: Sequence[Pair],
        decode: Decode,
        cut: tuple[int, int],
    ) -> None:
        """cut: side, and by how many pixels the second date may differ in size from the first."""
        self.card, self.decode, self.side = card, decode, cut[0]
        self.tiles = tuple(tile for pair in pairs for tile in tiles_of(pair, *cut))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(path for p in pairs for path in (*p.dates[0], *p.dates[1], p.mask))
        self.keys = tuple(f"{t.pair.key}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        (pair, window, shape), sensor = self.tiles[index], self.card.sensors[0]
        pixels = np.stack([self.decode(paths, sensor, window) for paths in pair.dates])
        pad = ((0, self.side - window.height), (0, self.side - window.width))
        pixels = np.pad(pixels, ((0, 0), (0, 0), *pad))
        mask = np.pad(change(pair.mask, window), pad, constant_values=_raster.IGNORE)
        days = {} if pair.days is None else {sensor.name: torch.tensor(pair.days)}
        images = {sensor.name: torch.from_numpy(pixels)}
        lonlat = georeference.centre(pair.extent, shape, window)
        return Sample(self.keys[index], images, torch.from_numpy(mask), days, lonlat)


def tiles_of(pair: Pair, side: int, slack: int) -> Iterator[Tile]:
    """The tiles of what both dates show, row by row. Raises DataError for other sizes."""
    sizes = {path: _raster.size(path) for path in (pair.mask, pair.dates[0][0], pair.dates[1][0])}
    (path, shape), *others = sizes.items()
    for (other, size), allowed in zip(others, (0, slack), strict=True):
        if any(abs(a - b) > allowed for a, b in zip(size, shape, strict=True)):
            raise DataError(
                f"{other} is {size[0]} x {size[1]} pixels (height x width), {path} {shape[0]} x "
                f"{shape[1]}; one of the two is of another place or release"
            )
    height, width = (min(sides) for sides in zip(*sizes.values(), strict=True))
    for y in range(0, height, side):
        for x in range(0, width, side):
            part = _raster.Window(y, x, min(side, height - y), min(side, width - x))
            yield Tile(pair, part, shape)


def picture(paths: Paths, sensor: Sensor, window: _raster.Window) -> _raster.Array:
    """A window of a display image, uint8 [3, height, width]."""
    return _raster.image(paths[0], sensor, window)


def change(path: Path, window: _raster.Window) -> _raster.Array:
    """A window of a change mask, uint8 of 0 and 1. Raises DataError for other values.

    A picture holds 0 and 255; a TIFF that too, or 0 and 1, or 1 and 2 (unchanged first).
    """
    if path.suffix.lower() not in _raster.TIFF:
        return _raster.mask(path, CHANGE, window)
    with _raster.opened(path) as raster:
        values = np.asarray(raster.read(1))
    found = {int(value) for value in np.unique(values)}
    for unchanged, changed in ((0, 255), (0, 1), (1, 2)):
        if found <= {unchanged, changed} and found != {1}:
            rows, columns = window.y + window.height, window.x + window.width
            part = values[window.y : rows, window.x : columns]
            return np.asarray(part == changed, np.uint8)
    raise DataError(
        f"{path} holds the values {sorted(found)[:5]}; expected 0 and 255, 0 and 1, or 1 and 2 "
        "for unchanged and changed (1 alone may mean either)"
    )
