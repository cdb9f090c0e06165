"""Reads images with masks, in square tiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import dates, decode, own_places, raster

if TYPE_CHECKING:
    from torch import Tensor


class ImageMask(NamedTuple):
    """An image, or the folder of a time series, and its mask."""

    key: str
    image: Path
    mask: Path


class MaskTile(NamedTuple):
    """The window of an image that becomes one sample."""

    pair: ImageMask
    window: decode.Window


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
        self.places = own_places.find_places((pair.image for pair in pairs), card.sensors)
        self.files = own_places.files_of(self.places.values())
        self.notes = own_places.notes_of(self.places.values(), card.sensors)
        self.label_files = tuple(p.mask for p in pairs)
        self.keys = tuple(f"{t.pair.key}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.groups = tuple(t.pair.key for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        pair, window = self.tiles[index]
        images, days = own_places.read_tile(
            self.places[pair.image], self.card.sensors, self.needs, window, self.side
        )
        return Sample(self.keys[index], images, self.target(index), days)

    def target(self, index: int) -> Tensor:
        import torch

        pair, window = self.tiles[index]
        ids = raster.read_mask(pair.mask, self.legend, window)
        return torch.from_numpy(raster.padded(ids, self.side))


def mask_tiles(pair: ImageMask, side: int, stride: int) -> list[MaskTile]:
    """Return the tiles of an image, row by row. Raises DataError for a mask of another size."""
    height, width = decode.raster_size(dates.dated_files(pair.image)[0])
    shape = decode.raster_size(pair.mask)
    if shape != (height, width):
        raise DataError(
            f"{pair.mask} is {shape[0]} x {shape[1]} pixels (height x width), its image "
            f"{pair.image} {height} x {width}; one of the two is of another release"
        )
    parts = (min(side, height), min(side, width))
    rows, columns = tile_starts(height, side, stride), tile_starts(width, side, stride)
    return [MaskTile(pair, decode.Window(y, x, *parts)) for y in rows for x in columns]
