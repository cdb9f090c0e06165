"""Reads the cities of OSCD."""

from __future__ import annotations

import datetime
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from skybench.core import DataError, Sensor
from skybench.data import once
from skybench.data.split_lists import MissingFilesError

from . import decode, georeference, pairs
from .causes import cause_of
from .name_dates import EPOCH

BANDS = {  # as in the names of the files
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge071": "B05",
    "rededge075": "B06",
    "rededge078": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir16": "B11",
    "swir22": "B12",
}
# What is stretched to 0..255. Source: github:ServiceNow/seasonal-contrast@411e37e
# datasets/oscd_dataset.py QUANTILES.
QUANTILES = {"blue": (885.0, 2620.0), "green": (667.0, 2969.0), "red": (426.0, 3698.0)}
# By how many pixels imgs_2 may differ in size from imgs_1: the README of the release says that
# they do, not by how much.
SLACK = 32
BAND_FILE = re.compile(r"(?!\.)(?:.*_)?(B\d\d|B8A)\.tif")


def city_pairs(
    title: str, folders: tuple[Path, Path], cities: Sequence[str], rgb: bool
) -> list[pairs.DatePair]:
    """Return the cities as pairs of dates; folders: those of the images and of the labels.

    rgb: three bands of imgs_1 and imgs_2, else all of imgs_1_rect and imgs_2_rect. Raises
    MissingFilesError with all missing files, DataError for unreadable dates and places.
    """
    images, labels = folders
    names, suffix = (("red", "green", "blue"), "") if rgb else (tuple(BANDS), "_rect")
    missing: list[str] = []
    found = []
    for city in cities:
        dates = [_bands(images / city / f"imgs_{n}{suffix}", names, missing) for n in (1, 2)]
        cm = labels / city / "cm"
        choices = (cm / "cm.png", cm / f"{city}-cm.tif")
        mask = next((path for path in choices if path.is_file()), choices[0])
        missing += [str(p) for p in (mask, images / city / "dates.txt") if not p.is_file()]
        found.append((city, dates, mask))
    if missing:
        raise MissingFilesError(title, missing)
    return [
        pairs.DatePair(city, (a, b), mask, _days(images / city), _box(images / city, a[0], b[0]))
        for city, (a, b), mask in found
    ]


def _bands(folder: Path, names: Sequence[str], missing: list[str]) -> pairs.Paths:
    """Return the files of these bands; missing ones are appended to `missing`."""
    files: dict[str, Path] = {}
    for name in once.list_folder(folder).every if folder.is_dir() else ():
        if match := BAND_FILE.fullmatch(name):
            if match[1] in files:
                raise DataError(
                    f"{folder} holds {match[1]} twice: {files[match[1]].name} and {name}"
                )
            files[match[1]] = folder / name
    absent = [BANDS[name] for name in names if BANDS[name] not in files]
    missing += [str(folder / f"{band}.tif") for band in absent]
    return () if absent else tuple(files[BANDS[name]] for name in names)


def _days(folder: Path) -> tuple[int, int]:
    """Read the two dates of dates.txt, `date_1: 20160120`, as days since 1970-01-01."""
    path = folder / "dates.txt"
    lines = [line.split() for line in path.read_text("utf-8", "replace").splitlines()]
    try:
        texts = [words[-1] for words in lines if words]
        first, second = (
            datetime.datetime.strptime(text, "%Y%m%d").date().toordinal() for text in texts
        )
    except ValueError as error:
        raise DataError(f"{path} is no list of two dates as `date_1: 20160120`: {error}") from error
    if first >= second:
        raise DataError(f"{path} has the later date first; the images may be exchanged")
    return first - EPOCH, second - EPOCH


def _box(folder: Path, first: Path, second: Path) -> georeference.Extent:
    """Return a city's extent, by its geojson or its images. Raises DataError where they differ."""
    places = []
    geojson = folder / f"{folder.name}.geojson"
    if geojson.is_file():
        places.append((geojson, _outline(geojson)))
    for path in (first, second):
        with decode.open_raster(path) as source:
            places.append((path, georeference.extent_of(source)))
    known = [(path, box) for path, box in places if box.west == box.west]
    if not known:
        return georeference.NOWHERE
    georeference.require_overlap(known)
    return known[0][1]


def _outline(path: Path) -> georeference.Extent:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        points = np.asarray(features[0]["geometry"]["coordinates"][0], float)
        (west, south), (east, north) = points.min(0)[:2], points.max(0)[:2]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path} has no polygon: {cause_of(error)}. Get it again.") from error
    return georeference.Extent(float(west), float(south), float(east), float(north))


def read_reflectance(paths: pairs.Paths, sensor: Sensor, window: decode.Window) -> decode.Array:
    """Read a window of all bands, int32 [C, height, width], reflectance x 1e4."""
    return np.stack([*_read(paths, window)]).astype(np.int32)


def read_stretched_rgb(paths: pairs.Paths, sensor: Sensor, window: decode.Window) -> decode.Array:
    """Read a window of RGB, uint8 [3, height, width], stretched between SeCo's quantiles."""
    shown = []
    for name, band in zip(sensor.bands, _read(paths, window), strict=True):
        least, most = QUANTILES[name]
        shown.append((((band - least) / (most - least)).clip(0, 1) * 255).astype(np.uint8))
    return np.stack(shown)


def _read(paths: pairs.Paths, window: decode.Window) -> Iterator[decode.Array]:
    """Yield a window of each band. Raises DataError where one differs in size or dtype."""
    rows, columns = (window.y, window.y + window.height), (window.x, window.x + window.width)
    size: tuple[int, ...] = ()
    for path in paths:
        band = _band(path, decode.stamp(path)) if path.exists() else _band(path, 0)
        if band.shape != (size or band.shape):
            raise DataError(
                f"{path} is {band.shape[0]} x {band.shape[1]} pixels (height x width), "
                f"{paths[0].name} of the same date {size}; get this file again"
            )
        size = band.shape
        yield band[slice(*rows), slice(*columns)]


@functools.lru_cache(maxsize=96)  # all tiles of a city, and of all training cities in RGB
def _band(path: Path, stamp: int) -> decode.Array:
    """Read a whole band, cached: cities are small, and opening a file takes longest."""
    with decode.open_raster(path) as source:
        if source.count != 1 or source.dtypes[0] != "uint16":
            raise DataError(
                f"{path} has {source.count} band(s) of {source.dtypes[0]} values; expected one "
                "band of uint16"
            )
        return np.asarray(source.read(1))
