"""Inputs of the networks that read any subset of Sentinel-2's bands, without torch."""

from __future__ import annotations

from skybench.core import DB, REFLECTANCE, Sensor
from skybench.core.sensors import L1C, L2A

COARSE = ("coastal", "nir09", "cirrus")  # the bands with pixels of 60 m
RGB = ("red", "green", "blue")
# Subsets of the bands that the datasets here have; alternatives, the widest first.
SENTINEL2 = (
    Sensor("s2", L1C, 10.0, REFLECTANCE),
    Sensor("s2_l2a", L2A, 10.0, REFLECTANCE),
    Sensor("s2_20m", tuple(b for b in L1C if b not in COARSE), 10.0, REFLECTANCE),
    Sensor("s2_rgb", RGB, 10.0, REFLECTANCE),
)
SENTINEL1 = Sensor("s1", ("vv", "vh"), 10.0, DB)
