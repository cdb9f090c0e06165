"""Reads images with masks, in square tiles."""

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


class ImageMask(NamedTuple):
    """An image, or the folder of a time series, and its mask."""

    key: str
    image: Path
    mask: Path


class MaskTile(NamedTuple):
    """The window of an image that becomes one sample."""

    pair: ImageMask
    window: raster.Window


def tile_starts(length: int, side: int, stride: int) -> list[int]:
    """Return tile offsets along an axis: every `stride`, the last one aligned with the edge.

    >>> offsets = tile_starts(6000, 512, 512)
    >>> offsets[-2:], len(offsets), tile_starts(300, 512, 512)
    ([5120, 5488], 12, [0])
    """
    if length <= side:
        return [0]
    return [*range(0, length - side, stride), length - side]


class MaskTiles(Samples):
    """Tiles uint8 [T, C, side, side] (or the stored dtype) with masks uint8 [side, side].

    An image smaller than a tile is padded below and to the right with 0, its mask with 255.
    The key is <image>_<y>_<x>, with the tile's first row and column.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        pairs: Sequence[ImageMask],
        cut: tuple[int, int],
        legend: raster.Legend,
    ) -> None:
        """cut: side and stride of the tiles; `split.sha256` is computed here."""
        self.card, self.legend = card, legend
        self.side, stride = cut
        self.tiles = tuple(tile for pair in pairs for tile in mask_tiles(pair, self.side, stride))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(f for p in pairs for f in (*dates.dated_files(p.image), p.mask))
        self.keys = tuple(f"{t.pair.key}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        pair, window = self.tiles[index]
        sensor = self.card.sensors[0]
        pixels = dates.read_dates(pair.image, sensor, window)
        ids = raster.read_mask(pair.mask, self.legend, window)
        below, right = self.side - window.height, self.side - window.width
        pixels = F.pad(pixels, (0, right, 0, below))
        ids = np.pad(ids, ((0, below), (0, right)), constant_values=raster.IGNORE)
        days = dates.series_days(pair.image, sensor)
        return Sample(self.keys[index], {sensor.name: pixels}, torch.from_numpy(ids), days)


def mask_tiles(pair: ImageMask, side: int, stride: int) -> list[MaskTile]:
    """Return the tiles of an image, row by row. Raises DataError for a mask of another size."""
    height, width = raster.raster_size(dates.dated_files(pair.image)[0])
    shape = raster.raster_size(pair.mask)
    if shape != (height, width):
        raise DataError(
            f"{pair.mask} is {shape[0]} x {shape[1]} pixels (height x width), its image "
            f"{pair.image} {height} x {width}; one of the two is of another release"
        )
    parts = (min(side, height), min(side, width))
    rows, columns = tile_starts(height, side, stride), tile_starts(width, side, stride)
    return [MaskTile(pair, raster.Window(y, x, *parts)) for y in rows for x in columns]
