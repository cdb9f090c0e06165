"""Cuts images with boxes into overlapping tiles, at one or several scales, as mmrotate does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from skybench.core import UINT8, Boxes, DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import boxes, georeference
from . import raster as _raster
from .tiles import starts

SHARE = 0.7  # an object belongs to a tile that holds this share of its area


class Cut(NamedTuple):
    """How images are cut. Source: open-mmlab/mmrotate tools/data/dota/split/img_split.py."""

    side: int  # of the tiles that are handed out, in pixels
    overlap: int  # of neighbouring tiles, in their pixels
    rates: tuple[float, ...]  # scales: windows of side / rate pixels are brought to `side`


class Tile(NamedTuple):
    """Where one sample lies."""

    item: boxes.Item
    rate: float
    window: _raster.Window  # square, in pixels of the image; may reach over its edge
    shape: tuple[int, int]  # height and width of the image


class BoxTiles(Samples):
    """Tiles uint8 [1, 3, side, side] with the Boxes of which 70 % of the area lie inside.

    An image smaller than a window is padded below and to the right with 0. The key is
    <image>_<scale>_<y>_<x>, with the tile's first row and column in the image; a point (u, v) of
    the tile is (x, y) + (u, v) * window / side there. Opening reads the header of each image.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        items: Sequence[boxes.Item],
        cut: Cut,
        objects: boxes.Reader,
    ) -> None:
        """objects: reads an annotation file; `split.sha256` is filled in here."""
        self.card, self.cut, self.objects = card, cut, objects
        self.tiles = tuple(tile for item in items for tile in tiles_of(item, cut))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = boxes.files_of(items)
        self.keys = tuple(f"{t.item.key}_{t.rate}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        tile, sensor = self.tiles[index], self.card.sensors[0]
        pixels, lonlat = read_window(tile, sensor, self.cut.side)
        found = boxes.target_of(tile.item, self.objects, self.card, tile.shape)
        target = within(found, tile.window, self.cut.side)
        images = {sensor.name: torch.from_numpy(pixels)[None]}
        return Sample(self.keys[index], images, target, lonlat=lonlat)


def tiles_of(item: boxes.Item, cut: Cut) -> Iterator[Tile]:
    """The tiles of one image, scale by scale, row by row."""
    height, width = _size(item.image)
    for rate in cut.rates:
        size = int(cut.side / rate)
        stride = size - int(cut.overlap / rate)
        for y in starts(height, size, stride):
            for x in starts(width, size, stride):
                yield Tile(item, rate, _raster.Window(y, x, size, size), (height, width))


def _size(path: Path) -> tuple[int, int]:
    """Height and width. By Pillow, in half of rasterio's time: there are 16,000 images."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as file:
                return file.height, file.width
        except (OSError, Image.DecompressionBombWarning, Image.DecompressionBombError):
            # very large, or of a kind that Pillow does not know
            return _raster.size(path)


def read_window(
    tile: Tile, sensor: Sensor, side: int
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A window brought to side x side pixels, uint8 [C, side, side], and its centre.

    Scaling is bilinear and, when it makes smaller, averages over the pixels that fall together
    (OpenCV, which mmrotate uses, does not).
    """
    path, scale = tile.item.image, side / tile.window.height
    height = min(tile.window.height, tile.shape[0] - tile.window.y)
    width = min(tile.window.width, tile.shape[1] - tile.window.x)
    inner = tile.window._replace(height=height, width=width)
    shape = (len(sensor.bands), max(round(height * scale), 1), max(round(width * scale), 1))
    with _raster.opened(path) as raster:
        if raster.count != len(sensor.bands) or sensor.unit != UINT8 or raster.dtypes[0] != UINT8:
            raise DataError(
                f"{path} has {raster.count} bands of {raster.dtypes[0]} values; expected "
                f"{len(sensor.bands)} of uint8 ({', '.join(sensor.bands)})"
            )
        where = RasterioWindow(inner.x, inner.y, width, height)
        pixels = raster.read(window=where, out_shape=shape, resampling=Resampling.bilinear)
        lonlat = georeference.centre(georeference.extent(raster), tile.shape, inner)
    pad = ((0, 0), (0, side - shape[1]), (0, side - shape[2]))
    return np.pad(pixels, pad), lonlat


def within(found: Boxes, window: _raster.Window, side: int) -> Boxes:
    """The boxes that belong to a window, in the pixels of a tile of this side."""
    corners = found.corners.numpy()
    kept = torch.from_numpy(shares(corners, window) >= SHARE)
    moved = found.corners[kept] - torch.tensor([window.x, window.y], dtype=torch.float32)
    scaled = moved * (side / window.height)
    return Boxes(scaled, found.labels[kept], found.difficult[kept], (side, side))


def shares(corners: NDArray[np.float32], window: _raster.Window) -> NDArray[np.float64]:
    """The share of each box's area that lies in a window, [N]; corners: [N, 4, 2]."""
    low = np.array([window.x, window.y], float)
    high = low + np.array([window.width, window.height])
    least, most = corners.min(1), corners.max(1)
    found = ((least >= low) & (most <= high)).all(1).astype(float)
    cut = (found == 0) & ((most > low) & (least < high)).all(1)
    for number in np.flatnonzero(cut):
        found[number] = _share(corners[number].astype(float), low, high)
    return np.asarray(found)


def _share(
    corners: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> float:
    """The same of one box, [4, 2], by clipping it at each side of the window."""
    offsets = corners - corners.mean(0)
    part = whole = corners[np.argsort(np.arctan2(offsets[:, 1], offsets[:, 0]))]
    for axis in (0, 1):
        part = _clip(part, part[:, axis] - low[axis])
        part = _clip(part, high[axis] - part[:, axis])
    return _area(part) / max(_area(whole), 1e-9)


def _clip(points: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon, [N, 2], where the depth of its corners is not negative."""
    kept = []
    for here, there, d, e in zip(
        points, np.roll(points, -1, 0), depth, np.roll(depth, -1), strict=True
    ):
        if d >= 0:
            kept.append(here)
        if d * e < 0:
            kept.append(here + (there - here) * (d / (d - e)))
    return np.asarray(kept, float).reshape(-1, 2)


def _area(points: NDArray[np.float64]) -> float:
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
