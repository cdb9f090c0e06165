"""Detections; see skybench.boxes.detections."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from skybench.boxes.detections import Detections


def test_detections_are_given_by_position_or_name_and_stay() -> None:
    corners, scores, labels = np.zeros((2, 4, 2)), np.ones(2), np.zeros(2, int)
    one = Detections(corners, scores, labels)
    assert one.corners is corners
    assert Detections(labels=labels, scores=scores, corners=corners).labels is one.labels
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.scores = scores[:1]  # type: ignore[misc]
