"""Decodes the segmentations of COCO's annotations: polygons and run-length encoded masks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from skybench.core import DataError

from .decode import QUIET

Mask = NDArray[np.bool_]


def bounds(what: str, entry: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, ...]:
    """Return x, y, width and height of an annotation's segmentation, in pixels.

    size: height and width of the image. Raises DataError, which begins with `what`, where there
    is none or it is damaged.
    """
    given = entry.get("segmentation")
    if isinstance(given, list) and given:
        points = np.concatenate([_polygon(what, part) for part in given])
        low, high = points.min(0), points.max(0)
        return float(low[0]), float(low[1]), *(float(v) for v in high - low)
    if isinstance(given, dict):
        mask = decode_rle(what, given, size)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            x, y = columns[0], rows[0]
            return float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1)
        raise DataError(f"{what} has no bbox, and no pixel in its segmentation; remove it")
    raise DataError(f"{what} has neither a bbox nor a segmentation; add one, or remove it")


def object_mask(what: str, entry: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    """Return the pixels of an annotation's segmentation, bool [H, W]. Raises DataError.

    A pixel belongs to a polygon that holds its centre; pycocotools' differ from it at edges, by up
    to half a pixel.
    """
    given = entry.get("segmentation")
    if isinstance(given, dict):
        return decode_rle(what, given, size)
    if not isinstance(given, list) or not given:
        raise DataError(f"{what} has no segmentation; add one, or remove it")
    rings = [_polygon(what, part) for part in given]
    shapes = [{"type": "Polygon", "coordinates": [[*r.tolist(), r[0].tolist()]]} for r in rings]
    with QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return np.asarray(rasterize(shapes, size, dtype=np.uint8)) > 0


def _polygon(what: str, given: Any) -> NDArray[np.float64]:
    usable = isinstance(given, list) and len(given) >= 6 and len(given) % 2 == 0
    if not usable or not all(type(v) in (int, float) and abs(v) < 1e9 for v in given):
        raise DataError(
            f"{what} has a segmentation that is no polygon; expected [x1, y1, x2, y2, x3, y3, …]"
        )
    return np.asarray(given, np.float64).reshape(-1, 2)


def decode_rle(what: str, given: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    """Return the mask, bool [H, W], of COCO's run-length code, compressed or not.

    Runs go down the columns and begin with background. Raises DataError, which begins with
    `what`, where runs do not fill the image or its size is another.
    Source: github:cocodataset/cocoapi common/maskApi.c, rleFrString (read, not copied).

    >>> rle = {"size": [2, 3], "counts": [1, 3, 2]}
    >>> decode_rle("annotation 1", rle, (2, 3)).astype(int).tolist()
    [[0, 1, 0], [1, 1, 0]]
    """
    stated, counts = given.get("size"), given.get("counts")
    if stated != [*size]:
        raise DataError(
            f"{what} has a mask of the size {str(stated)[:60]}; expected {[*size]}, the height and "
            "width of its image"
        )
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    listed = runs if isinstance(runs, list) else [-1]
    usable = all(type(v) is int and v >= 0 for v in listed)
    if not usable or sum(listed) != size[0] * size[1]:
        raise DataError(
            f"{what} has a mask whose runs do not fill the {size[0]} x {size[1]} pixels of its "
            "image; it is damaged. Export it again"
        )
    values = np.arange(len(listed)) % 2 == 1
    return np.repeat(values, listed).reshape(size[::-1]).T


def _decompressed(text: str) -> Sequence[int]:
    """Return the runs of a compressed code; [-1], no run, for a damaged one.

    Each number is a series of characters with 5 bits each, the lowest first; bit 6 says that more
    follow, the sign is that of the last. From the fourth on, a run is told by its difference to
    the second before it.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            return [-1]
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= 1 << shift if code & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return [-1] if shift else runs
