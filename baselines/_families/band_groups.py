"""Sentinel inputs of Galileo and Presto, and their band groups, without torch."""

from __future__ import annotations

from skybench.core import DB, REFLECTANCE, Sensor
from skybench.core.sensors import S2_FINE

INPUTS = (
    Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
    Sensor("s2_rgb", S2_FINE[:3], 10.0, REFLECTANCE),  # the group S2_RGB alone
    Sensor("s1", ("vv", "vh"), 10.0, DB),
)
# Group -> the channels of an input that it reads.
S2 = {
    "S2_RGB": slice(0, 3),
    "S2_Red_Edge": slice(3, 6),
    "S2_NIR_10m": slice(6, 7),
    "S2_NIR_20m": slice(7, 8),
    "S2_SWIR": slice(8, 10),
}
GROUPS = {"s2": S2, "s2_rgb": {"S2_RGB": slice(0, 3)}, "s1": {"S1": slice(0, 2)}}
RED, NIR = 2, 6  # channels of "s2"
