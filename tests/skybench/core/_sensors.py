"""Sensors of an aerial image, Sentinel-2 and Sentinel-1, and a model that reads some of them."""

from __future__ import annotations

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
S2 = Sensor("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)
S1 = Sensor("s1", ("vv", "vh"), 10.0, DB)


def model(*inputs: Sensor) -> ModelCard:
    return ModelCard("toy", "Toy", "extra", inputs, 4, (), "ours", "ours", "none")
