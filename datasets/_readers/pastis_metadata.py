"""Reads the metadata of PASTIS: folds, dates and extents of its patches."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rasterio.crs import CRS
from rasterio.warp import transform

from skybench.core import DataError
from skybench.data import once

from . import georeference, name_dates
from .causes import cause_of

LAMBERT93 = "EPSG:2154"  # of the geometry, unless the file names another


class PatchMetadata(NamedTuple):
    """Fold, extent and acquisition days of a patch."""

    key: str
    fold: int
    days: Mapping[str, tuple[int, ...]]  # by sensor, since 1970-01-01, in order
    extent: georeference.Extent


def days_since_epoch(date: datetime.date) -> int:
    """Return a date as days since 1970-01-01."""
    return date.toordinal() - name_dates.EPOCH


@once.once_a_plan
def read_metadata(path: Path, sensors: tuple[str, ...]) -> list[PatchMetadata]:
    """Read all patches, in the order of their ids. Raises DataError for malformed metadata."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lines = [feature["properties"] for feature in content["features"]]
        extents = _extents(content)
        patches = [_patch(*both, sensors) for both in zip(lines, extents, strict=True)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not the metadata of PASTIS ({cause_of(error)}); expected "
            "ID_PATCH, Fold, dates-S2 (and others) and a geometry for each patch. Get it again"
        ) from error
    patches.sort(key=lambda patch: int(patch.key))
    for a, b in pairwise(patches):
        if a.key == b.key:
            raise DataError(f"{path} has patch {a.key} twice")
    return patches


def _patch(
    line: Mapping[str, Any], extent: georeference.Extent, sensors: Sequence[str]
) -> PatchMetadata:
    days = {sensor: _days(line[f"dates-{sensor.upper()}"]) for sensor in sensors}
    for sensor, own in days.items():
        if not own or list(own) != sorted(own):
            raise ValueError(f"{sensor} of patch {line['ID_PATCH']}: no dates, or out of order")
    fold = int(line["Fold"])
    if fold not in range(1, 6):
        raise ValueError(f"patch {line['ID_PATCH']} is in fold {fold}, not 1 to 5")
    return PatchMetadata(str(int(line["ID_PATCH"])), fold, days, extent)


def _days(texts: str | Mapping[str, Any]) -> tuple[int, ...]:
    """Parse the dates {"0": 20180926, …}, which some tools write as a string."""
    table = json.loads(texts.replace("'", '"')) if isinstance(texts, str) else texts
    return tuple(_since(str(table[place])) for place in sorted(table, key=int))


@functools.lru_cache(maxsize=4096)
def _since(date: str) -> int:
    return days_since_epoch(datetime.datetime.strptime(date, "%Y%m%d").date())


def _extents(content: Mapping[str, Any]) -> list[georeference.Extent]:
    named = (content.get("crs") or {}).get("properties", {}).get("name", LAMBERT93)
    boxes = [_box(feature["geometry"]["coordinates"]) for feature in content["features"]]
    xs = [x for box in boxes for x in (box[0], box[2])]
    ys = [y for box in boxes for y in (box[1], box[3])]
    lons, lats = transform(CRS.from_user_input(named), georeference.WGS84, xs, ys)
    corners = list(zip(lons, lats, strict=True))
    return [
        georeference.Extent(*southwest, *northeast)
        for southwest, northeast in zip(corners[::2], corners[1::2], strict=True)
    ]


def _box(coordinates: Any) -> tuple[float, float, float, float]:
    """Return west, south, east, north of arbitrarily nested [x, y] pairs."""
    while isinstance(coordinates[0][0], list):
        coordinates = [pair for part in coordinates for pair in part]
    xs, ys = zip(*((float(x), float(y)) for x, y, *_ in coordinates), strict=True)
    return min(xs), min(ys), max(xs), max(ys)
