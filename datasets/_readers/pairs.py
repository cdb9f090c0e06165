"""Reads image pairs with a change mask, in tiles without overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skybench.core import DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import decode, georeference, raster

if TYPE_CHECKING:
    import torch

# 0 and 255 as stored; anything else is an error
CHANGE = raster.Legend(2, (((0, 0, 0), 0), ((255, 255, 255), 1)))

Paths = tuple[Path, ...]  # of one date: one image, or one file a band
Decode = Callable[[Paths, Sensor, decode.Window], decode.Array]  # -> [C, height, width]


class DatePair(NamedTuple):
    """The images of a place at two dates, and its change mask."""

    key: str
    dates: tuple[Paths, Paths]
    mask: Path
    days: tuple[int, int] | None = None  # since 1970-01-01
    extent: georeference.Extent = georeference.NOWHERE  # of the first date


class PairTile(NamedTuple):
    """The window of an image pair that becomes one sample."""

    pair: DatePair
    window: decode.Window
    shape: tuple[int, int]  # of the mask, height and width


class PairTiles(Samples):
    """Tiles [2, C, side, side] with masks uint8 [side, side]: 1 changed, 255 padded.

    Tiles are laid out from the upper left; at the right and lower edge they are padded with 0.
    The key is <pair>_<y>_<x>, with the tile's first row and column.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        pairs: Sequence[DatePair],
        decode: Decode,
        cut: tuple[int, int],
    ) -> None:
        """cut: tile side, and the difference in size, in pixels, that the second date may have."""
        self.card, self.decode, self.side = card, decode, cut[0]
        self.tiles = tuple(tile for pair in pairs for tile in pair_tiles(pair, *cut))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(path for p in pairs for path in (*p.dates[0], *p.dates[1]))
        self.label_files = tuple(p.mask for p in pairs)
        self.keys = tuple(f"{t.pair.key}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.groups = tuple(t.pair.key for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        import torch

        (pair, window, shape), sensor = self.tiles[index], self.card.sensors[0]
        pixels = np.stack([self.decode(paths, sensor, window) for paths in pair.dates])
        pad = ((0, self.side - window.height), (0, self.side - window.width))
        if any(map(any, pad)):
            pixels = np.pad(pixels, ((0, 0), (0, 0), *pad))
        days = {} if pair.days is None else {sensor.name: torch.tensor(pair.days)}
        images = {sensor.name: torch.from_numpy(pixels)}
        lonlat = georeference.window_centre(pair.extent, shape, window)
        return Sample(self.keys[index], images, self.target(index), days, lonlat)

    def target(self, index: int) -> torch.Tensor:
        import torch

        (pair, window, _) = self.tiles[index]
        mask = read_change_mask(pair.mask, window)
        return torch.from_numpy(raster.padded(mask, self.side))


def pair_tiles(pair: DatePair, side: int, slack: int) -> Iterator[PairTile]:
    """Yield the tiles of a pair, row by row. Raises DataError where the sizes differ."""
    sizes = {
        path: decode.raster_size(path) for path in (pair.mask, pair.dates[0][0], pair.dates[1][0])
    }
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
            part = decode.Window(y, x, min(side, height - y), min(side, width - x))
            yield PairTile(pair, part, shape)


def read_picture(paths: Paths, sensor: Sensor, window: decode.Window) -> decode.Array:
    """Read a window of a display image, uint8 [3, height, width]."""
    return decode.read_image(paths[0], sensor, window)


def read_change_mask(path: Path, window: decode.Window) -> decode.Array:
    """Read a window of a change mask, uint8 of 0 and 1. Raises DataError for other values.

    PNG and JPEG store 0 and 255; TIFF may also store 0 and 1, or 1 and 2 (unchanged first).
    """
    if path.suffix.lower() not in decode.TIFF:
        return raster.read_mask(path, CHANGE, window)
    (mask,) = decode.cut(decode.kept(path, "change", _of_tiff)[None], window)
    return np.asarray(mask)


def _of_tiff(path: Path) -> decode.Array:
    with decode.open_raster(path) as source:
        values = np.asarray(source.read(1))
    found = {int(value) for value in np.unique(values)}
    for unchanged, changed in ((0, 255), (0, 1), (1, 2)):
        if found <= {unchanged, changed} and found != {1}:
            return np.asarray(values == changed, np.uint8)
    raise DataError(
        f"{path} holds the values {sorted(found)[:5]}; expected 0 and 255, 0 and 1, or 1 and 2 "
        "for unchanged and changed (1 alone may mean either)"
    )
