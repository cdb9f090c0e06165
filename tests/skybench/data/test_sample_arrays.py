"""Samples as arrays; see skybench.data.sample_arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import Boxes, Sample
from skybench.data.sample_arrays import arrays_of, images_of, sample_bytes, sample_of, target_of

BOXES = Boxes(
    torch.arange(16.0).reshape(2, 4, 2), torch.tensor([3, 0]), torch.tensor([True, False]), (64, 48)
)


@pytest.mark.parametrize(
    "target",
    [7, 2.5, torch.tensor([[1, 255]], dtype=torch.uint8), torch.tensor([0, 1], dtype=torch.uint8),
     np.ones((3, 2, 2), np.uint8), torch.tensor([[math.nan, 1.5]])],
    ids=str,
)  # fmt: skip
def test_a_target_comes_back_in_its_own_type(target: Any) -> None:
    found = target_of(arrays_of(target))
    assert type(found) is type(target)
    assert getattr(found, "dtype", None) == getattr(target, "dtype", None)
    np.testing.assert_array_equal(found, target)


@pytest.mark.parametrize("crowd", [None, torch.tensor([False, True])])
@pytest.mark.parametrize("count", [2, 0])
def test_boxes_come_back_whole(crowd: torch.Tensor | None, count: int) -> None:
    boxes = replace(BOXES, crowd=crowd).where(torch.arange(count))
    found = target_of(arrays_of(boxes))
    assert found.size == (64, 48)
    assert (found.crowd is None) == (crowd is None)
    for name in ("corners", "labels", "difficult", "crowds"):
        assert getattr(found, name).dtype == getattr(boxes, name).dtype
        assert torch.equal(getattr(found, name), getattr(boxes, name))


def test_a_sample_comes_back_with_the_sensors_that_are_needed() -> None:
    images = {"hr": torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2),
              "s2": torch.ones(4, 1, 1, 1, dtype=torch.int32)}  # fmt: skip
    sample = Sample("a", images, 1, {"s2": torch.tensor([17000, 1, 2, -1])}, (7.5, -51.25))
    found = sample_of("a", images_of(sample), 1)
    assert found.key == "a"
    assert found.lonlat == (7.5, -51.25)
    assert found.images.keys() == images.keys()
    assert all(torch.equal(found.images[n], x) and found.images[n].dtype == x.dtype
               for n, x in images.items())  # fmt: skip
    assert torch.equal(found.days["s2"], sample.days["s2"])
    alone = sample_of("a", images_of(sample), 1, lambda sensor: sensor == "hr")
    assert (list(alone.images), list(alone.days)) == (["hr"], [])


def test_the_place_of_a_sample_may_be_unknown() -> None:
    sample = Sample("a", {"hr": torch.zeros(1, 1, 2, 2)}, 0)
    assert all(map(math.isnan, sample_of("a", images_of(sample), 0).lonlat))


def test_the_size_of_a_sample_counts_its_target() -> None:
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    plain = sample_bytes(Sample("a", {"hr": image}, 0))
    masked = sample_bytes(Sample("a", {"hr": image}, torch.zeros(16, 16, dtype=torch.uint8)))
    assert plain == 768 + 16 + 8
    assert masked == plain - 8 + 256
