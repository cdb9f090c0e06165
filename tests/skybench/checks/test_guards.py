from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skybench.checks import guards
from skybench.core import CONVERT, REFLECTANCE, UINT8, Found, SkybenchError
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.segmentation import Segmentation
from skybench.records.store import Record


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
    guards.check_metric(Accuracy(("a", "b", "c")), keyed([0, np.array(1), 2, 2]))
    masks = [np.array([[0, 255], [2, 255]], np.uint8), np.full((3, 1), 255, np.uint8)]
    guards.check_metric(Segmentation(("a", "b", "c"), "mf1"), keyed(masks))


def test_a_class_id_of_255_is_a_class() -> None:
    guards.check_metric(Accuracy(tuple(map(str, range(256)))), keyed([np.array(255), 255]))


def test_the_metric_under_test_stays_empty() -> None:
    metric = Accuracy(("a", "b"))
    guards.check_metric(metric, keyed([0, 1]))
    assert metric.true == []


def test_a_wrong_metric_is_caught() -> None:
    with pytest.raises(SkybenchError, match=r"self-test failed: .* oa = 0\.0, expected 100"):
        guards.check_metric(OffByOne(("a", "b")), keyed([0, 1]))
    with pytest.raises(SkybenchError, match="self-test failed"):
        guards.check_metric(CountsIgnored(("a", "b")), keyed([np.array([[0, 255]], np.uint8)]))


def test_a_split_without_any_labelled_pixel_is_caught() -> None:
    masks = [np.full((2, 2), 255, np.uint8)] * 2
    with pytest.raises(SkybenchError, match="miou = nan, expected 100"):
        guards.check_metric(Segmentation(("a", "b"), "miou"), keyed(masks))


@pytest.mark.parametrize(
    ("score", "error", "chance", "alarm"),
    [(10.0, 0.0, 10.0, True), (9.0, 0.0, 10.0, True), (12.9, 1.0, 10.0, True),
     (13.1, 1.0, 10.0, False), (10.1, 0.0, 10.0, False)],
)  # fmt: skip
def test_chance_is_all_that_is_not_above_it_by_3_errors(
    score: float, error: float, chance: float, alarm: bool
) -> None:
    assert guards.is_chance(score, error, chance) is alarm


def test_a_conversion_by_convention_is_noticed() -> None:
    exact = Found("a", (0,), CONVERT[UINT8, UINT8])
    nominal = Found("b", (0,), CONVERT[UINT8, REFLECTANCE])
    assert not guards.uses_convention({"hr": exact})
    assert guards.uses_convention({"hr": exact, "s2": nominal})


MEASURED = Record(
    "rcf", "scene_classification", "aid", {"protocol": "knn"}, "measured", "real", "f" * 64,
    {"oa": 50.0}, {"oa": 0.0}, {"oa": [40.0, 60.0]}, {"a": {"recall": 50.0}}, [{"seed": 0}],
    used={"alarms": {"band order": "s2: in reverse"}},
)  # fmt: skip


def test_strict_takes_the_scores_of_a_faulty_record_and_says_why() -> None:
    strict = guards.strict(replace(MEASURED, flags=["limited", "chance", "band order"]))
    assert strict.status == "failed"
    assert strict.note == (
        f"--strict: chance ({guards.FLAGS['chance']}); band order (s2: in reverse)"
    )
    assert not any((strict.scores, strict.spread, strict.intervals, strict.per_class, strict.seeds))
    assert strict.flags == ["limited", "chance", "band order"]
    assert strict.path == MEASURED.path


@pytest.mark.parametrize("flags", [[], sorted(set(guards.FLAGS) - guards.FAULTS)])
def test_strict_leaves_conditions_alone(flags: list[str]) -> None:
    record = replace(MEASURED, flags=flags)
    assert guards.strict(record) == record
    failed = replace(MEASURED, status="failed", flags=["chance"], note="OSError: disk")
    assert guards.strict(failed) == failed


def test_faults_are_not_conditions() -> None:
    conditions = {"random weights", "tiny variant", "nominal units", "own split", "limited",
                  "override"}  # fmt: skip
    assert set(guards.FLAGS) - guards.FAULTS == conditions
    assert set(guards.FLAGS) > guards.FAULTS
