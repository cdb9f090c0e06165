"""Geographic extents of rasters."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rasterio._err import CPLE_BaseError  # has no public name
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform_bounds

from skybench.core import DataError

from .decode import Window

WGS84 = "EPSG:4326"
NEAR = 0.1  # of the extent; bounding boxes of two projections differ by some percent


class Extent(NamedTuple):
    """A bounding box in degrees, WGS 84; NaN where unknown."""

    west: float
    south: float
    east: float
    north: float


NOWHERE = Extent(math.nan, math.nan, math.nan, math.nan)


def extent_of(raster: Any) -> Extent:
    """Return the extent of an opened raster; NOWHERE without a usable CRS."""
    return NOWHERE if raster.crs is None else _extent(raster.crs, tuple(raster.bounds))


@functools.lru_cache(maxsize=1024)  # dates and sensors of a place, and its tiles, have the same
def _extent(crs: Any, bounds: tuple[float, ...]) -> Extent:
    try:
        return Extent(*transform_bounds(crs, WGS84, *bounds))
    except (CRSError, RasterioError, CPLE_BaseError):
        return NOWHERE


def lie_apart(a: Extent, b: Extent) -> bool:
    """Return whether two centres differ by more than rounding; False where one is unknown."""
    reach = NEAR * (a.north - a.south), NEAR * (a.east - a.west)
    steps = (a.south + a.north - b.south - b.north) / 2, (a.west + a.east - b.west - b.east) / 2
    return any(abs(step) > allowed for step, allowed in zip(steps, reach, strict=True))


def require_overlap(places: Sequence[tuple[Path, Extent]]) -> None:
    """Raise DataError for a file whose extent does not overlap the first one's; NaN passes."""
    path, a = places[0]
    for other, b in places[1:]:
        if b.west > a.east or b.east < a.west or b.south > a.north or b.north < a.south:
            raise DataError(
                f"{other} lies elsewhere than {path}: {_shown(b)} and {_shown(a)} (west, south, "
                "east, north). One of the two is of another place, or its coordinate system is "
                "wrong; get it again."
            )


def _shown(where: Extent) -> str:
    return ", ".join(f"{value:.4f}" for value in where)


def window_centre(where: Extent, shape: tuple[int, int], window: Window) -> tuple[float, float]:
    """Return longitude and latitude of the centre of a window in a north-up image.

    shape: height and width of the image with the extent `where`, in the window's pixels.
    """
    across = (window.x + window.width / 2) / shape[1]
    down = (window.y + window.height / 2) / shape[0]
    return (
        where.west + across * (where.east - where.west),
        where.north - down * (where.north - where.south),
    )
