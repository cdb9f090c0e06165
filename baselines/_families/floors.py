"""Inputs of the floors without learned weights, and the scale of each unit."""

from __future__ import annotations

from typing import NamedTuple

from skybench.core import DB, REFLECTANCE, UINT8, Sensor
from skybench.core.sensors import S2_FINE

# "s2_rgb" stands before "hr": where bands alone decide, RGB with a radiometric unit is kept in it.
INPUTS = (
    Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
    Sensor("s2_rgb", ("red", "green", "blue"), 10.0, REFLECTANCE),
    Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),  # any scale
    Sensor("s1", ("vv", "vh"), 10.0, DB),
)


class UnitScale(NamedTuple):
    """Approximate centre and spread of the values of a unit, for standardisation."""

    middle: float
    spread: float


# Ours. Reflectance as uint8 under the stretch of `core.S2_DISPLAY`.
SCALES = {
    UINT8: UnitScale(127.5, 64.0),
    REFLECTANCE: UnitScale(1375.0, 690.0),
    DB: UnitScale(-15.0, 6.0),
}
