"""Compares the georeference of an image with that of its mask or of another date."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio import Affine
from rasterio._err import CPLE_BaseError  # has no public name
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as reproject

from skybench.core import DataError

from . import decode
from .decode import Array
from .georeference import WGS84

TOLERANCE = 1.0  # pixels between corners; conventions of pixel corner and centre differ by 0.5
UNKNOWN_PLACE = (math.nan, math.nan)
PROJECTION_ERRORS = (CRSError, RasterioError, CPLE_BaseError, ValueError)


class Grid(NamedTuple):
    """Where the pixels of a raster lie."""

    transform: Affine
    crs: Any  # None where unknown
    shape: tuple[int, int]  # height and width

    def corners(self) -> Array:
        """Return x and y of the four corners, [4, 2], in the order of the raster's rows."""
        height, width = self.shape
        ends = ((0, 0), (width, 0), (width, height), (0, height))
        return _moved(self.transform, np.array(ends, float))


def _moved(by: Affine, points: Array) -> Array:
    """Return points, [N, 2] of x and y, moved by a transform."""
    x, y = points.T
    return np.stack([by.a * x + by.b * y + by.c, by.d * x + by.e * y + by.f], 1)


class Flip(NamedTuple):
    """How a raster must be turned to have the direction of another."""

    rows: bool = False
    columns: bool = False

    def window(self, window: decode.Window, shape: tuple[int, int]) -> decode.Window:
        """Return the same part of the place in the raster that is to be turned."""
        y, x, height, width = window
        return decode.Window(
            shape[0] - y - height if self.rows else y,
            shape[1] - x - width if self.columns else x,
            height,
            width,
        )

    def turn(self, pixels: Array) -> Array:
        """Return pixels, […, H, W], turned."""
        axes = tuple(axis for axis, turned in zip((-2, -1), self, strict=True) if turned)
        return np.ascontiguousarray(np.flip(pixels, axes)) if axes else pixels


FLIPS = (Flip(), Flip(rows=True), Flip(columns=True), Flip(rows=True, columns=True))


def grid_of(path: Path) -> Grid | None:
    """Return the grid of a file; None where it has no georeference, or is no GeoTIFF or JP2."""
    return _grid(path, decode.stamp(path)) if path.suffix.lower() in decode.GDAL else None


@functools.lru_cache(maxsize=4096)
def _grid(path: Path, changed: int) -> Grid | None:
    with decode.open_raster(path) as source:
        if source.transform.is_identity or source.transform.is_degenerate:
            return None
        return Grid(source.transform, source.crs, (source.height, source.width))


def flip_between(image: Path, other: Path) -> Flip:
    """Return how `other` must be turned to lie on the image; both show the same extent.

    Raises DataError, with both names, where it lies on another grid. Files without a georeference
    are taken to fit.
    """
    grid, its = grid_of(image), grid_of(other)
    if grid is None or its is None:
        return Flip()
    corners = _in_crs(its, grid)
    if corners is None:
        raise DataError(f"{other} and {image} have coordinate systems that cannot be compared")
    inverse = ~grid.transform
    placed = np.array([_apply(inverse, x, y) for x, y in corners])
    height, width = grid.shape
    upright = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    for flip in FLIPS:
        expected = np.where([flip.columns, flip.rows], (width, height) - upright, upright)
        if np.abs(placed - expected).max() < TOLERANCE:
            return flip
    raise DataError(_apart(image, other, float(np.abs(placed - upright).max()), corners, grid))


def _apart(image: Path, other: Path, pixels: float, corners: Array, grid: Grid) -> str:
    there, here = (f"{c[:, 0].min():.6g}, {c[:, 1].max():.6g}" for c in (corners, grid.corners()))
    return (
        f"{other} does not lie on {image}: its upper left corner is at {there} and that of the "
        f"image at {here} (x, y); corners differ by up to {pixels:.0f} pixels. One of the two is "
        "of another place or has a wrong georeference, or they are on different grids: warp one to "
        "the other's (gdalwarp -te … -tr …), or remove the georeference if it is wrong"
    )


def _apply(transform: Any, x: float, y: float) -> tuple[float, float]:
    """Return a point transformed; older releases of affine have `*` for it, newer ones `@`."""
    a, b, c, d, e, f = transform[:6]
    return a * x + b * y + c, d * x + e * y + f


def _in_crs(grid: Grid, wanted: Grid) -> Array | None:
    """Return the corners of a grid in another's coordinate system; None where that fails."""
    corners = grid.corners()
    if not grid.crs or not wanted.crs or grid.crs == wanted.crs:
        return corners
    try:
        return np.array(reproject(grid.crs, wanted.crs, *corners.T)).T
    except PROJECTION_ERRORS:
        return None


def place_of_whole(image: Path) -> tuple[float, float]:
    """Return longitude and latitude of the centre of an image; NaN where they are unknown."""
    grid = grid_of(image)
    return UNKNOWN_PLACE if grid is None else place_of(image, decode.Window(0, 0, *grid.shape))


def place_of(image: Path, window: decode.Window) -> tuple[float, float]:
    """Return longitude and latitude of the centre of a window; NaN where they are unknown."""
    grid = grid_of(image)
    if grid is None or not grid.crs:
        return UNKNOWN_PLACE
    x, y = _apply(grid.transform, window.x + window.width / 2, window.y + window.height / 2)
    try:
        (lon,), (lat,) = reproject(grid.crs, WGS84, [x], [y])[:2]
    except PROJECTION_ERRORS:
        return UNKNOWN_PLACE
    known = -180 <= lon <= 180 and -90 <= lat <= 90  # NaN and infinity are not
    return (float(lon), float(lat)) if known else UNKNOWN_PLACE
