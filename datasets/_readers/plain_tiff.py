"""Reads small single-band GeoTIFFs; uncompressed ones much faster than GDAL does.

A BigEarthNet pair is 14 files, and GDAL takes far longer to open each than to read its pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import decode

Array = NDArray[Any]

# Numbers of TIFF 6.0 and GeoTIFF 1.1.
ENTRY = np.dtype([("tag", "<u2"), ("kind", "<u2"), ("count", "<u4"), ("value", "<u4")])
KINDS: Mapping[int, np.dtype[Any]] = {
    3: np.dtype("<u2"),
    4: np.dtype("<u4"),
    12: np.dtype("<f8"),
}
WIDTH, HEIGHT, OFFSETS, COUNTS, TIE_POINT, GEO_KEYS = 256, 257, 273, 279, 33922, 34735
STORAGE = (259, 277, 339, 258)  # compression, samples per pixel, sample format, bits
PLAIN: Mapping[tuple[int, ...], np.dtype[Any]] = {
    (1, 1, 1, 16): np.dtype("<u2"),
    (1, 1, 3, 32): np.dtype("<f4"),
}
RASTER_TYPE, PROJECTION = 1025, 3072  # geo keys
PIXEL_IS_AREA = 1


class TiffBand(NamedTuple):
    """The pixels of a band, its upper left corner and its EPSG code."""

    pixels: Array  # [H, W], stored type, read-only
    corner: tuple[float, float]  # x, y of the upper left, in the projection's units
    epsg: int  # 0 where there is none


def read_band(path: Path) -> TiffBand:
    """Read the first band of a TIFF. Raises DataError for a missing or damaged file."""
    with decode.damage_as_data_error(path):
        band = _plain(path.read_bytes())
    if band is not None:
        return band
    with decode.open_raster(path) as source:
        place, crs = source.transform, source.crs
        return TiffBand(source.read(1), (place.c, place.f), (crs and crs.to_epsg()) or 0)


def _plain(data: bytes) -> TiffBand | None:
    """Read a band without GDAL; None unless it is single, uncompressed, in contiguous strips.

    Raises ValueError for a truncated file.
    """
    tags = _tags(data) if data[:4] == b"II*\0" else {}
    stored = PLAIN.get(tuple(tags.get(tag, [1])[0] for tag in STORAGE))
    if stored is None or not {WIDTH, HEIGHT, OFFSETS, COUNTS, TIE_POINT, GEO_KEYS} <= set(tags):
        return None
    (height,), (width,) = tags[HEIGHT], tags[WIDTH]
    offsets, counts = tags[OFFSETS], tags[COUNTS]
    keys = tags[GEO_KEYS]
    direct = {keys[i]: keys[i + 3] for i in range(4, len(keys), 4) if keys[i + 1] == 0}
    ends = [start + count for start, count in zip(offsets, counts, strict=True)]
    if (
        offsets[1:] != ends[:-1]
        or sum(counts) != height * width * stored.itemsize
        or tags[TIE_POINT][:2] != [0, 0]
        or direct.get(RASTER_TYPE, PIXEL_IS_AREA) != PIXEL_IS_AREA
        or PROJECTION not in direct
    ):
        return None
    pixels = np.frombuffer(data, stored, height * width, offsets[0]).reshape(height, width)
    return TiffBand(pixels, (tags[TIE_POINT][3], tags[TIE_POINT][4]), direct[PROJECTION])


def _tags(data: bytes) -> dict[int, list[Any]]:
    """Return the values of the first image file directory, by tag."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    tags = {}
    for i, (tag, kind, length, value) in enumerate(
        np.frombuffer(data, ENTRY, count, start + 2).tolist()
    ):
        if kind in KINDS:
            inline = length * KINDS[kind].itemsize <= 4
            at = start + 2 + 12 * i + 8 if inline else value
            tags[tag] = np.frombuffer(data, KINDS[kind], length, at).tolist()
    return tags
