"""Describes the sensors of a user's own folder: [sensor] of its skybench.toml."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skybench.core import CONVERT, UINT8, DataError, Sensor

KNOWN = ("name", "bands", "gsd", "unit", "scale", "offset", "fill", "folder")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class OwnSensor(Sensor):
    """A sensor of a user's folder. A value is stored * scale + offset, in the sensor's unit."""

    scale: float | None = None  # None, like offset: by the tags in the files
    offset: float | None = None
    fill: float | None = None  # replaces NaN and nodata; None: 0 replaces nodata, NaN is refused
    folder: str = ""  # of its images; "" where a place has one sensor


RGB = OwnSensor("hr", ("red", "green", "blue"), 0.0, UINT8)


def parse_sensors(given: object) -> tuple[OwnSensor, ...]:
    """Return the sensors of [sensor], or of several [sensor.NAME] in their order.

    Each of several has a folder of images of its own, by default of its name. Raises DataError.
    """
    if not isinstance(given, dict) or not given:
        raise DataError(f"sensor is {given!r}; expected a table with bands, gsd and unit")
    if not all(isinstance(part, dict) for part in given.values()):
        return (_sensor(given, "sensor", "hr", ""),)
    found = tuple(_sensor(part, f"sensor.{name}", name, name) for name, part in given.items())
    folders = [sensor.folder for sensor in found]
    if len(set(folders)) < len(folders):
        raise DataError(f"two sensors have the folder {max(folders, key=folders.count)!r}")
    return found


def _sensor(given: Mapping[str, Any], table: str, name: str, folder: str) -> OwnSensor:
    if strange := sorted(set(given) - {*KNOWN}):
        raise DataError(f"{table} has the key {strange[0]!r}; known: {', '.join(KNOWN)}")
    if "bands" not in given:
        raise DataError(f"{table} has no 'bands'")
    units = sorted({unit for pair in CONVERT for unit in pair})
    unit, gsd = given.get("unit", UINT8), given.get("gsd", 0)
    if unit not in units:
        raise DataError(f"unit {unit!r} of {table} is not known; known: {', '.join(units)}")
    if _float(f"gsd of {table}", gsd) < 0:
        raise DataError(f"gsd of {table} is {gsd!r}; expected metres a pixel")
    scale, offset, fill = (
        _float(f"{n} of {table}", given[n]) if n in given else None
        for n in ("scale", "offset", "fill")
    )
    if scale == 0:
        raise DataError(f"scale of {table} is 0; expected the factor of the stored values")
    return OwnSensor(
        _name(f"name of {table}", given.get("name", name)),
        _bands(table, given["bands"]),
        float(gsd),
        unit,
        scale=scale,
        offset=offset,
        fill=fill,
        folder=_folder(table, given.get("folder", folder)),
    )


def _bands(table: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(band, str) for band in given):
        raise DataError(f"bands of {table} is {given!r}; expected a list of texts")
    if not given or len(set(given)) < len(given):
        raise DataError(f"bands of {table} is {given}; expected different names, in file order")
    return tuple(given)


def _float(what: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or abs(given) > 1e12:
        raise DataError(f"{what} is {given!r}; expected a number")
    if not math.isfinite(given):
        raise DataError(f"{what} is {given!r}; expected a finite number")
    return float(given)


def _name(what: str, given: object) -> str:
    if not isinstance(given, str) or not NAME.fullmatch(given):
        raise DataError(f"{what} is {given!r}; expected letters and digits, as hr, s2 or s1")
    return given


def _folder(table: str, given: object) -> str:
    """Return the name of a folder inside the described one."""
    if not isinstance(given, str) or "\0" in given or "\\" in given:
        raise DataError(f"folder of {table} is {given!r}; expected a text")
    if Path(given).is_absolute() or ".." in Path(given).parts:
        raise DataError(f"folder of {table} is {given!r}, which leads out; expected a name")
    return Path(given).as_posix() if given else ""
