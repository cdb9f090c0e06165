"""Arrays of many images in one; see skybench.metrics._packing."""

from __future__ import annotations

import numpy as np
import torch

from skybench.boxes.detections import Detections
from skybench.core import Boxes
from skybench.metrics._packing import array_fields, pack_images, unpack_images


def test_images_are_unpacked_as_they_were_packed() -> None:
    counts = (3, 0, 1)
    images = [{"x": np.arange(n) + 10 * n, "y": np.ones((n, 4, 2))} for n in counts]
    state = pack_images("said", images) | pack_images("true", [{"x": np.arange(2)}] * 3)
    assert {*state} == {"said.x", "said.y", "said.rows", "true.x", "true.rows"}
    for before, after in zip(images, unpack_images("said", state), strict=True):
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_fields_that_are_no_arrays_are_left_out() -> None:
    boxes = Boxes(torch.zeros(2, 4, 2), torch.zeros(2).long(), torch.zeros(2).bool(), (5, 5))
    assert {*array_fields(boxes)} == {"corners", "labels", "difficult"}
    detections = Detections(np.zeros((1, 4, 2)), np.ones(1), np.zeros(1, int))
    assert {*array_fields(detections)} == {"corners", "scores", "labels"}
