"""Sensors that a model reads on one grid."""

import importlib

import pytest
import torch

from skybench.core import CannotRun

grids = importlib.import_module("skybench.baselines._adapters.grids")


def test_sensors_of_one_size_give_it() -> None:
    images = [torch.zeros(2, 1, 4, 8, 12), torch.zeros(2, 8, 12)]
    assert grids.common_size("croma", images) == (8, 12)


def test_sensors_of_several_sizes_are_refused() -> None:
    images = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 2, 16, 16)]
    with pytest.raises(CannotRun, match=r"croma reads .* \[\(8, 8\), \(16, 16\)\]"):
        grids.common_size("croma", images)
