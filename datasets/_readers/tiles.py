"""Reads images with a mask each, cut into square tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import dates, raster


class Pair(NamedTuple):
    """An image, or the folder of a series, and its mask."""

    key: str
    image: Path
    mask: Path


class Tile(NamedTuple):
    """Where one sample lies."""

    pair: Pair
    window: raster.Window


def starts(length: int, side: int, stride: int) -> list[int]:
    """Where tiles begin along one axis: every `stride`, the last moved back to end at the edge.

    >>> starts(6000, 512, 512)[-2:], len(starts(6000, 512, 512)), starts(300, 512, 512)
    ([5120, 5488], 12, [0])
    """
    if length <= side:
        return [0]
    return [*range(0, length - side, stride), length - side]


class Tiles(Samples):
    """Tiles of uint8 [T, C, side, side] (or the stored type) with masks uint8 [side, side].

    An image smaller than a tile is padded below and to the right with 0, its mask with 255.
    The key is <image>_<y>_<x>, with the tile's first row and column.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        pairs: Sequence[Pair],
        cut: tuple[int, int],
        legend: raster.Legend,
    ) -> None:
        """cut: side and stride of the tiles; `split.sha256` is filled in here."""
        self.card, self.legend = card, legend
        self.side, stride = cut
        self.tiles = tuple(tile for pair in pairs for tile in tiles_of(pair, self.side, stride))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(f for p in pairs for f in (*dates.files_of(p.image), p.mask))
        self.keys = tuple(f"{t.pair.key}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        pair, window = self.tiles[index]
        sensor = self.card.sensors[0]
        pixels = dates.read(pair.image, sensor, window)
        ids = raster.mask(pair.mask, self.legend, window)
        below, right = self.side - window.height, self.side - window.width
        pixels = F.pad(pixels, (0, right, 0, below))
        ids = np.pad(ids, ((0, below), (0, right)), constant_values=raster.IGNORE)
        days = dates.days(pair.image, sensor)
        return Sample(self.keys[index], {sensor.name: pixels}, torch.from_numpy(ids), days)


def tiles_of(pair: Pair, side: int, stride: int) -> list[Tile]:
    """The tiles of one image, row by row. Raises DataError where image and mask differ in size."""
    height, width = raster.size(dates.files_of(pair.image)[0])
    shape = raster.size(pair.mask)
    if shape != (height, width):
        raise DataError(
            f"{pair.mask} is {shape[0]} x {shape[1]} pixels (height x width), its image "
            f"{pair.image} {height} x {width}; one of the two is of another release"
        )
    parts = (min(side, height), min(side, width))
    rows, columns = starts(height, side, stride), starts(width, side, stride)
    return [Tile(pair, raster.Window(y, x, *parts)) for y in rows for x in columns]
