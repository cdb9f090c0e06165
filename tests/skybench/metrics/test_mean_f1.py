"""Mean F1 and the classes without a hit."""

from __future__ import annotations

import numpy as np
import pytest

from skybench.metrics.segmentation import Segmentation

from .test_segmentation import by_mmsegmentation, filled


def test_a_class_that_is_never_predicted_is_left_out_of_mf1_and_told() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, (40, 50))
    predicted = np.where(rng.random(true.shape) < 0.7, true, rng.integers(0, 4, true.shape))
    predicted[predicted == 4] = 0
    metric = Segmentation(("road", "house", "grass", "tree", "car"), "mf1")
    metric.update(predicted, true)
    scores = metric.scores()
    assert next(iter(scores)) == "mf1"
    assert scores["mf1"] == pytest.approx(by_mmsegmentation(predicted, true, 5))
    assert scores["mf1_present"] == pytest.approx(scores["mf1"] * 4 / 5)  # 0 for the fifth
    car = metric.per_class()["car"]
    assert (car["f1"], car["recall"]) == (0, 0)
    assert np.isnan(car["precision"])
    assert metric.notes() == (
        "mf1 is the mean over 4 of 5 classes, as mmsegmentation has it: no pixel of car is right; "
        "mf1_present counts 0 for each that occurs",
    )
    assert Segmentation(metric.classes, "miou").restored(metric.state()).notes() == ()
    metric.update(true, true)
    assert metric.notes() == ()


def test_chance_of_mf1_is_over_as_many_classes_as_the_score() -> None:
    true = np.array([[0, 0, 0, 1, 1, 2]])
    only = 100 * 2 * 3 / (6 + 3)  # F1 of class 0 alone, predicted everywhere
    for predicted, hit in (([[0] * 6], 1), ([[0, 0, 1, 1, 1, 1]], 2), ([[0, 1, 1, 1, 0, 2]], 3)):
        assert filled([(np.array(predicted), true)], "mf1").chance() == pytest.approx(only / hit)
    constant = filled([(np.zeros_like(true), true)], "mf1")
    assert constant.scores()["mf1"] == constant.chance()
    missed = filled([(np.array([[1, 1, 1, 0, 0, 0]]), true)], "mf1")
    assert np.isnan(missed.scores()["mf1"])
    assert missed.scores()["mf1_present"] == 0
