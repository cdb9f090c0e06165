"""Reads the metadata of a BigEarthNet v1 patch: <patch>_labels_metadata.json."""

from __future__ import annotations

import functools
import json
import re
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from rasterio.crs import CRS
from rasterio.warp import transform

from skybench.core import DataError

from .causes import cause_of
from .name_dates import EPOCH

COARSEST = 60.0  # metres of a pixel
WGS84 = CRS.from_epsg(4326)
TILE = re.compile(r"_T(\d\d[A-Z]{3})_")  # in the name of a Sentinel-2 product


class PatchLabels(NamedTuple):
    """Labels, position and date of a patch, as its JSON file gives them."""

    path: Path
    labels: tuple[str, ...]  # of the 43 classes
    corner: tuple[float, float]  # x, y of the upper left, metres
    epsg: int  # of the projection
    centre: tuple[float, float]  # x, y, metres
    day: int  # since 1970-01-01
    partner: str  # Sentinel-1: the Sentinel-2 patch that it belongs to; else ""


def labels_path(folder: Path) -> Path:
    """Return the path of the JSON file in a patch's folder."""
    return folder / f"{folder.name}_labels_metadata.json"


def read_labels(folder: Path) -> PatchLabels:
    """Read the JSON file in a patch's folder. Raises DataError."""
    path = labels_path(folder)
    content = _load(path)
    try:
        where = content["coordinates"]
        lower = where["lry"] if "lry" in where else where["lly"]  # so it is called for Sentinel-1
        taken = content.get("acquisition_date") or content["acquisition_time"]
        return PatchLabels(
            path=path,
            labels=tuple(content["labels"]),
            corner=(where["ulx"], where["uly"]),
            centre=((where["ulx"] + where["lrx"]) / 2, (where["uly"] + lower) / 2),
            epsg=_epsg(content["projection"]),
            day=date.fromisoformat(taken[:10]).toordinal() - EPOCH,
            partner=content.get("corresponding_s2_patch", ""),
        )
    except (KeyError, TypeError, ValueError) as error:  # rasterio's CRSError is a ValueError
        raise _odd(path, error) from error


def mgrs_tile(folder: Path) -> str:
    """Return the MGRS tile that a Sentinel-2 patch was cut from, as 33UUP. Raises DataError."""
    path = labels_path(folder)
    try:
        return str(TILE.findall(_load(path)["tile_source"])[0])
    except (KeyError, TypeError, IndexError) as error:
        raise _odd(path, error) from error


def lies_elsewhere(patch: PatchLabels, corner: tuple[float, float], epsg: int) -> bool:
    """Return whether a raster's upper left corner is over a pixel (60 m) off the patch's."""
    steps = (abs(a - b) for a, b in zip(patch.corner, corner, strict=True))
    return epsg != patch.epsg or max(steps) > COARSEST


def patch_lonlat(patch: PatchLabels) -> tuple[float, float]:
    """Return longitude and latitude of the patch's centre, in degrees, WGS 84."""
    x, y = patch.centre
    (lon,), (lat,) = transform(_crs(patch.epsg), WGS84, [x], [y])
    return lon, lat


@functools.lru_cache(maxsize=64)
def _epsg(text: str) -> int:
    code = CRS.from_wkt(text).to_epsg()
    if code is None:
        raise ValueError(f"no EPSG code fits the projection {text[:60]!r}")
    return int(code)


@functools.lru_cache(maxsize=64)
def _crs(epsg: int) -> CRS:
    return CRS.from_epsg(epsg)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _odd(path, error) from error


def _odd(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read ({cause_of(error)}); expected JSON with labels, "
        "coordinates, projection and a date as 2017-06-13. Get this file again."
    )
