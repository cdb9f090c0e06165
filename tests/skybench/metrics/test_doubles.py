"""Objects that are annotated more than once, and what they leave attainable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import Boxes
from skybench.metrics.rotated_boxes import RotatedBoxes, rotated_ap

from ._rotated_cases import CLASSES, Case, filled


def test_an_object_annotated_twice_is_found_once() -> None:
    """The truth as answer has half of the recall: 6 of 11 points of precision 1."""
    twice, one = [[5, 5, 10, 4, 0.3]] * 2, [[50, 50, 10, 4, 0.3]]
    truth = [(twice, [0, 0]), (one, [1])]
    none = np.zeros((0, 5))
    alone: list[Any] = [(twice, [0.9, 0.8], [0, 0]), (none, [], [])]
    found = rotated_ap(alone, [*truth[:1], (none, [])])
    assert found == pytest.approx({"map": 600 / 11, "map_doubles": 100, "doubles": 1})
    both: list[Any] = [alone[0], (one, [0.7], [1])]
    assert rotated_ap(both, truth)["map"] == pytest.approx((600 / 11 + 100) / 2)
    metric = filled(
        Case([(np.array(twice), np.array([0.9, 0.8]), np.array([0, 0]))],
             [(np.array(twice), np.array([0, 0]), np.zeros(2, bool))]),
        RotatedBoxes(CLASSES),
    )  # fmt: skip
    assert metric.scores()["ap50_voc07"] == metric.attainable() == pytest.approx(600 / 11)
    (note,) = metric.notes()
    assert note.startswith("1 object repeats the box and class of another of the image")
    assert metric.fresh().restored(metric.state()).notes() == metric.notes()
    resampled = metric.scores(np.array([[1.0], [3.0]]))
    assert resampled["ap50_voc07"].tolist() == pytest.approx([600 / 11] * 2)
    assert resampled["ap50_voc07_doubles"].tolist() == [100, 100]


def test_a_false_positive_between_doubles_counts_by_either_rule() -> None:
    boxes = np.array([[5, 5, 10, 4, 0.3], [5, 5, 10, 4, 0.3], [50, 50, 10, 4, 0.0]])
    away = np.array([[90, 90, 10, 4, 0.0]])
    said = [(np.concatenate([boxes[:1], away, boxes[1:]]), [0.9, 0.8, 0.7, 0.6], [0] * 4)]
    found = rotated_ap(said, [(boxes, [0] * 3)], points=0)
    # Hit, false alarm, then the double and the last object: wrong and right, or both right.
    assert found["map"] == pytest.approx(100 / 3 * (1 + 2 / 4))
    assert found["map_doubles"] == pytest.approx(100 / 3 * (1 + 3 / 4 + 3 / 4))


def test_the_truth_gives_the_best_score_whatever_its_shape() -> None:
    """Quadrilaterals, float32, objects annotated twice from other corners, crossed corners."""
    rng = np.random.default_rng(0)
    corners = torch.from_numpy(rng.uniform(0, 60, (40, 4, 2)).astype(np.float32))
    corners = torch.cat([corners, corners[:10], corners[:10].roll(1, 1)])
    labels = torch.zeros(60, dtype=torch.int64)
    truth = Boxes(corners, labels, torch.zeros(60, dtype=torch.bool))
    metric = RotatedBoxes(CLASSES)
    metric.update(metric.perfect(truth), truth)
    scores = metric.scores()
    assert scores.pop("ap50_voc07") == metric.attainable() == pytest.approx(700 / 11)
    assert scores.pop("ap50_voc12") == pytest.approx(100 * 40 / 60)
    assert [*scores.values()] == pytest.approx([100] * 5, abs=1e-9)
