from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skybench.checks.metric_self_test import check_metric
from skybench.core import SkybenchError
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
        check_metric(OffByOne(("a", "b")), keyed([0, 1]))
    with pytest.raises(SkybenchError, match="self-test failed"):
        check_metric(CountsIgnored(("a", "b")), keyed([np.array([[0, 255]], np.uint8)]))


def test_a_split_without_any_labelled_pixel_is_caught() -> None:
    masks = [np.full((2, 2), 255, np.uint8)] * 2
    with pytest.raises(SkybenchError, match="miou = nan, expected 100"):
        check_metric(Segmentation(("a", "b"), "miou"), keyed(masks))
