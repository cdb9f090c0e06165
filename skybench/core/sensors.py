"""Sensors: their bands and units, and the conversion of units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

UINT8 = "uint8"  # display imagery, 0..255, no radiometric meaning
REFLECTANCE = "reflectance x 1e4"
S2_DISPLAY = "uint8 of reflectance 0..2750"  # EuroSAT's RGB: reflectance x 1e4 in 0..2750 -> 0..255
DB = "dB"

# The bands of Sentinel-2, in the official order.
L1C = (  # B1, B2, B3, B4, B5, B6, B7, B8, B8A, B9, B10, B11, B12
    *("coastal", "blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08"),
    *("nir09", "cirrus", "swir16", "swir22"),
)
L2A = tuple(band for band in L1C if band != "cirrus")
S2_FINE = tuple(band for band in L2A if band not in ("coastal", "nir09"))  # of 10 and 20 m


class Conversion(NamedTuple):
    """The linear map `x * scale + offset` from one unit to another.

    `exact` is false where one side has no radiometric unit and the map is a convention;
    such a cell is flagged.
    """

    scale: float
    offset: float = 0.0
    exact: bool = True
    highest: float | None = None  # results are clipped to 0..highest; None: not clipped


CONVERT: Mapping[tuple[str, str], Conversion] = {
    (UINT8, UINT8): Conversion(1.0),
    (REFLECTANCE, REFLECTANCE): Conversion(1.0),
    (DB, DB): Conversion(1.0),
    (S2_DISPLAY, UINT8): Conversion(1.0),
    (S2_DISPLAY, REFLECTANCE): Conversion(2750.0 / 255.0),
    # Display images carry no reflectance; the stretch of EuroSAT's RGB is taken as a convention.
    (UINT8, REFLECTANCE): Conversion(2750.0 / 255.0, exact=False),
    (REFLECTANCE, UINT8): Conversion(255.0 / 2750.0, exact=False, highest=255.0),
}


@dataclass(frozen=True)
class Sensor:
    """A stack of bands of one resolution and unit: a sensor of a dataset, or a model's input."""

    # The role, as "hr", "s2", "s1". Several of a role in a dataset add a letter ("s1a", "s1d"),
    # alternative inputs of a model add a word ("s2_rgb").
    name: str
    bands: tuple[str, ...]  # common names in channel order: "red", "rededge071", "vv"
    gsd: float  # metres per pixel; 0 where mixed or unknown
    unit: str  # a key of CONVERT
    title: str = ""  # what a dataset's users call it, as "Planet"; `--sensors planet` finds it


class BandMapping(NamedTuple):
    """The channels of a dataset that feed one of a model's inputs."""

    sensor: str  # of the dataset
    channels: tuple[int, ...]  # of that sensor, in the model's order
    conversion: Conversion  # from the dataset's unit to the model's
