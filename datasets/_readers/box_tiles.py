"""Tiles images with boxes, overlapping, at one or several scales, as mmrotate does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from skybench.core import UINT8, Boxes, DataError, DatasetCard, Sample, Sensor
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import boxes, decode, georeference
from .tiles import tile_starts

SHARE = 0.7  # an object belongs to a tile that holds this share of its area


class Tiling(NamedTuple):
    """Side, overlap and scales of tiles. Source: mmrotate tools/data/dota/split/img_split.py."""

    side: int  # of the tiles that are handed out, in pixels
    overlap: int  # of neighbouring tiles, in their pixels
    rates: tuple[float, ...]  # scales: windows of side / rate pixels are brought to `side`


class BoxTile(NamedTuple):
    """The window of an image that becomes one sample."""

    item: boxes.AnnotatedImage
    rate: float
    window: decode.Window  # square, in pixels of the image; may reach over its edge
    shape: tuple[int, int]  # height and width of the image


class BoxTiles(Samples):
    """Tiles uint8 [1, 3, side, side] with the Boxes that have 70 % of their area inside.

    An image smaller than a window is padded below and to the right with 0. The key is
    <image>_<scale>_<y>_<x>, with the tile's first row and column in the image; a point (u, v) of
    the tile is (x, y) + (u, v) * window / side there. Opening reads the header of each image.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        items: Sequence[boxes.AnnotatedImage],
        cut: Tiling,
        objects: boxes.Reader,
    ) -> None:
        """objects: reads an annotation file; `split.sha256` is computed here."""
        self.card, self.cut, self.objects = card, cut, objects
        sized = ((item, self.size_of(item.image)) for item in items)
        self.tiles = tuple(tile for item, size in sized for tile in tile_image(item, cut, size))
        if not self.tiles:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(item.image for item in items)
        self.label_files = boxes.annotations_of(items)
        self.keys = tuple(f"{t.item.key}_{t.rate}_{t.window.y}_{t.window.x}" for t in self.tiles)
        self.groups = tuple(t.item.key for t in self.tiles)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def size_of(self, image: Path) -> tuple[int, int]:
        """Return height and width of an image, of which all tiles are cut."""
        return _size(image)

    def read(self, index: int) -> Sample:
        import torch

        tile, sensor = self.tiles[index], self.card.sensors[0]
        pixels, lonlat = read_window(tile, sensor, self.cut.side)
        images = {sensor.name: torch.from_numpy(pixels)[None]}
        return Sample(self.keys[index], images, self.target(index), lonlat=lonlat)

    def target(self, index: int) -> Boxes:
        tile = self.tiles[index]
        objects = boxes.read_boxes(tile.item, self.objects, self.card, tile.shape)
        return boxes_within(objects, tile.window, self.cut.side)


def tile_image(
    item: boxes.AnnotatedImage, cut: Tiling, size: tuple[int, int] | None = None
) -> Iterator[BoxTile]:
    """Yield the tiles of one image, scale by scale, row by row.

    size: height and width of the image; None: read from its header.
    """
    height, width = size or _size(item.image)
    for rate in cut.rates:
        side = int(cut.side / rate)
        stride = side - int(cut.overlap / rate)
        for y in tile_starts(height, side, stride):
            for x in tile_starts(width, side, stride):
                yield BoxTile(item, rate, decode.Window(y, x, side, side), (height, width))


def _size(path: Path) -> tuple[int, int]:
    """Return height and width, by Pillow: twice as fast as rasterio, for 16,000 images."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as file:
                return file.height, file.width
        except (OSError, Image.DecompressionBombWarning, Image.DecompressionBombError):
            # very large, or of a kind that Pillow does not know
            return decode.raster_size(path)


def read_window(
    tile: BoxTile, sensor: Sensor, side: int
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Read a window resized to side x side pixels, uint8 [C, side, side], and its lon, lat.

    Resizing is bilinear, with antialiasing when it reduces (OpenCV, which mmrotate uses, has
    none).
    """
    path, scale = tile.item.image, side / tile.window.height
    height = min(tile.window.height, tile.shape[0] - tile.window.y)
    width = min(tile.window.width, tile.shape[1] - tile.window.x)
    inner = tile.window._replace(height=height, width=width)
    shape = (len(sensor.bands), max(round(height * scale), 1), max(round(width * scale), 1))
    with decode.keep_raster(path) as source:
        if source.count != len(sensor.bands) or sensor.unit != UINT8 or source.dtypes[0] != UINT8:
            raise DataError(
                f"{path} has {source.count} bands of {source.dtypes[0]} values; expected "
                f"{len(sensor.bands)} of uint8 ({', '.join(sensor.bands)})"
            )
        where = RasterioWindow(inner.x, inner.y, width, height)
        pixels = source.read(window=where, out_shape=shape, resampling=Resampling.bilinear)
        lonlat = georeference.window_centre(georeference.extent_of(source), tile.shape, inner)
    pad = ((0, 0), (0, side - shape[1]), (0, side - shape[2]))
    return np.pad(pixels, pad), lonlat


def boxes_within(objects: Boxes, window: decode.Window, side: int) -> Boxes:
    """Return the boxes that belong to a window, in pixels of a tile of this side.

    A crowd region belongs to every window that it reaches into.
    """

    import torch

    shares = torch.from_numpy(area_shares(objects.corners.numpy(), window))
    kept = (shares >= SHARE) | ((shares > 0) & objects.crowds)
    moved = objects.corners[kept] - torch.tensor([window.x, window.y], dtype=torch.float32)
    scaled = moved * (side / window.height)
    return replace(objects.where(kept), corners=scaled, size=(side, side))


def area_shares(corners: NDArray[np.float32], window: decode.Window) -> NDArray[np.float64]:
    """Return the fraction of each box's area inside a window, [N]; corners: [N, 4, 2]."""
    low = np.array([window.x, window.y], float)
    high = low + np.array([window.width, window.height])
    least, most = corners.min(1), corners.max(1)
    fractions = ((least >= low) & (most <= high)).all(1).astype(float)
    cut = (fractions == 0) & ((most > low) & (least < high)).all(1)
    for number in np.flatnonzero(cut):
        fractions[number] = _share(corners[number].astype(float), low, high)
    return np.asarray(fractions)


def _share(
    corners: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> float:
    """Return the same for one box, [4, 2], by clipping it at each side of the window."""
    offsets = corners - corners.mean(0)
    part = whole = corners[np.argsort(np.arctan2(offsets[:, 1], offsets[:, 0]))]
    for axis in (0, 1):
        part = _clip(part, part[:, axis] - low[axis])
        part = _clip(part, high[axis] - part[:, axis])
    return _area(part) / max(_area(whole), 1e-9)


def _clip(points: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip a convex polygon, [N, 2], to the half-plane where `depth` is not negative."""
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
