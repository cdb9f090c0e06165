"""Targets: inferred kinds, and the value of pixels from outside the image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import IGNORE, Boxes, Target, infer_target

NO_BOXES = Boxes(torch.zeros(0, 4, 2), torch.zeros(0).long(), torch.zeros(0).bool())


@pytest.mark.parametrize(
    ("target", "kind", "ignore"),
    [
        (3, "class", None),
        (torch.tensor(3), "class", None),
        (torch.zeros(19, dtype=torch.uint8), "classes", None),
        (torch.zeros(8, 8, dtype=torch.uint8), "mask", IGNORE),
        (np.zeros((8, 8), np.uint8), "mask", IGNORE),
        (torch.zeros(6, 8, 8, dtype=torch.uint8), "masks", IGNORE),
        (NO_BOXES, "boxes", None),
    ],
)
def test_the_kind_is_inferred_from_a_target(target: Any, kind: str, ignore: int | None) -> None:
    assert infer_target(target) == Target(kind, ignore)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(8, 8), (3,)])
def test_floats_are_values_without_a_label_where_they_are_nan(shape: tuple[int, ...]) -> None:
    for target in (torch.zeros(shape), np.zeros(shape, np.float32)):
        kind, ignore = infer_target(target)
        assert kind == "values"
        assert ignore is not None
        assert math.isnan(ignore)


def test_pixels_from_outside_have_no_label() -> None:
    assert Target("mask", IGNORE).fill == IGNORE
    assert Target("mask").fill == IGNORE  # no class has it, whatever the card says
    assert Target("values", -9999.0).fill == -9999.0
    assert math.isnan(Target("values").fill)


def test_masks_and_values_are_moved_with_their_image() -> None:
    assert all(Target(kind).spatial for kind in ("mask", "masks", "values"))
    assert not any(Target(kind).spatial for kind in ("class", "classes", "boxes"))
