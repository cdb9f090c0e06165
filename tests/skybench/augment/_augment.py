"""Sensors and images for tests of augmentations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.core import DB, REFLECTANCE, UINT8, DatasetCard, Sensor

RGB = Sensor("hr", ("red", "green", "blue"), 1.0, UINT8)
S2 = Sensor("s2", ("blue", "nir"), 4.0, REFLECTANCE)
S1 = Sensor("s1", ("vv", "vh"), 4.0, DB)


def card(*sensors: Sensor, task: str = "semantic_segmentation") -> DatasetCard:
    return DatasetCard("x", "X", (task,), sensors, ("a", "b"), {}, "", "", "", "")


def noise(shape: Sequence[int], dtype: torch.dtype = torch.uint8, seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).integers(0, 200, tuple(shape))
    return torch.from_numpy(drawn).to(dtype)


def same(a: Any, b: Any) -> bool:
    return str(a) == str(b) and all(torch.equal(a.images[n], b.images[n]) for n in a.images)
