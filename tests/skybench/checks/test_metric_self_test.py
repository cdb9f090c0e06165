from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from skybench.checks.metric_self_test import check_metric, without_ignored
from skybench.core import ScoreInfo, SkybenchError, Target
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.segmentation import Segmentation


class OffByOne(Accuracy):
    """A metric with the commonest mistake: the truth counts from 1."""

    def fresh(self) -> OffByOne:
        return OffByOne(self.classes)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        super().update(prediction, target + 1)


class CountsIgnored(Accuracy):
    """A metric over pixels that counts the ignored ones too."""

    def fresh(self) -> CountsIgnored:
        return CountsIgnored(self.classes)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        for one, other in zip(prediction.flat, target.flat, strict=True):
            super().update(one, other)


def keyed(targets: list[Any]) -> list[tuple[str, Any]]:
    return [(f"image_{i}_0_0", target) for i, target in enumerate(targets)]


def test_the_truth_passes() -> None:
    check_metric(Accuracy(("a", "b", "c")), keyed([0, np.array(1), 2, 2]))
    masks = [np.array([[0, 255], [2, 255]], np.uint8), np.full((3, 1), 255, np.uint8)]
    check_metric(Segmentation(("a", "b", "c"), "mf1"), keyed(masks))


def test_a_class_id_of_255_is_a_class() -> None:
    check_metric(Accuracy(tuple(map(str, range(256)))), keyed([np.array(255), 255]))


def test_the_metric_under_test_stays_empty() -> None:
    metric = Accuracy(("a", "b"))
    check_metric(metric, keyed([0, 1]))
    assert metric.true == []


def test_a_wrong_metric_is_caught() -> None:
    with pytest.raises(SkybenchError, match=r"self-test failed: .* oa = 0\.0, expected 100"):
        check_metric(OffByOne(("a", "b", "c")), keyed([0, 1]))
    with pytest.raises(SkybenchError, match=r"self-test failed: it refuses .* class ids in 0\.\.1"):
        check_metric(OffByOne(("a", "b")), keyed([0, 1]))
    with pytest.raises(SkybenchError, match="self-test failed"):
        check_metric(CountsIgnored(("a", "b")), keyed([np.array([[0, 255]], np.uint8)]))


class Attains(Accuracy):
    """A metric whose truth allows 50 only, or so it says."""

    def fresh(self) -> Attains:
        return Attains(self.classes)

    def attainable(self) -> float:
        return 50.0

    def perfect(self, target: int) -> int:
        return min(target, 1)  # of the classes 1 and 2, only the first can be named


def test_the_best_score_may_depend_on_the_truth() -> None:
    check_metric(Attains(("a", "b", "c")), keyed([1, 2]))
    for truth, score in (([1, 1], r"100\.0"), ([2, 2], r"0\.0")):
        with pytest.raises(SkybenchError, match=f"oa = {score}, expected 50"):
            check_metric(Attains(("a", "b", "c")), keyed(truth))


def test_a_split_without_any_labelled_pixel_is_caught() -> None:
    masks = [np.full((2, 2), 255, np.uint8)] * 2
    with pytest.raises(SkybenchError, match="miou = nan, expected 100"):
        check_metric(Segmentation(("a", "b"), "miou"), keyed(masks))


class Errors:
    """Mean absolute error of values; NaN, or a nodata value, does not count."""

    info: ClassVar = {"mae": ScoreInfo(False, "t/ha", 0.0, math.inf)}

    def __init__(self, ignore: float = math.nan, shift: float = 0.0) -> None:
        self.ignore, self.shift = ignore, shift
        self.errors: list[float] = []

    def fresh(self) -> Errors:
        return Errors(self.ignore, self.shift)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        counted = (target != self.ignore) & (target == target)
        assert not counted.all()
        assert (prediction[~counted] == 0).all()  # the truth is not shown where it must not count
        self.errors += abs(prediction - target - self.shift)[counted].tolist()

    def scores(self, weights: Any = None) -> dict[str, Any]:
        return {"mae": float(np.mean(self.errors))}


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_the_best_error_is_0_and_a_value_of_255_is_a_value(make: Callable[..., Any]) -> None:
    metric: Any = Errors()
    info = check_metric(metric, keyed([make([[255.0, math.nan], [3.5, 255.0]])]))
    assert info == Errors.info["mae"]
    metric = Errors(-99.0)
    check_metric(metric, keyed([make([[255.0, -99.0]])]), Target("values", -99.0))
    metric = Errors(shift=1.0)
    with pytest.raises(SkybenchError, match=r"mae = 1\.0, expected 0"):
        check_metric(metric, keyed([make([[2.0, math.nan]])]))


def test_elements_are_ignored_by_the_declared_value() -> None:
    mask = np.array([[9, 255], [0, 1]], np.uint8)
    assert without_ignored(mask, Target("mask", 9)).tolist() == [[0, 255], [0, 1]]
    assert without_ignored(mask, Target("mask")) is mask
    assert mask.tolist() == [[9, 255], [0, 1]]
