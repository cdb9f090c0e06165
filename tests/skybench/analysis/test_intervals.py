from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from skybench.analysis.intervals import (
    score_interval,
    share_interval,
    uncertainty,
)
from skybench.analysis.spread import Spread
from skybench.core import ScoreInfo
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.segmentation import Segmentation

CLASSES = ("field", "wood", "water")
CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)


def maps(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions and truths [6, 6] whose errors are correlated: an image is good or bad."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        true = rng.integers(0, 3, (6, 6))
        wrong = rng.random((6, 6)) < rng.choice([0.05, 0.9])
        found.append((np.where(wrong, (true + 1) % 3, true), true))
    return found


def filled(cases: list[tuple[np.ndarray, np.ndarray]]) -> Segmentation:
    metric = Segmentation(CLASSES, "miou")
    for predicted, true in cases:
        metric.update(predicted, true)
    return metric


def named(count: int) -> list[str]:
    return [f"image{i:04}" for i in range(count)]


def accuracy(right: int, of: int) -> Accuracy:
    metric = Accuracy(CLASSES)
    for i in range(of):
        metric.update(0 if i < right else 1, 0)
    return metric


def test_intervals_contain_the_score_and_follow_the_keys() -> None:
    metric = filled(maps(30))
    found = uncertainty([metric], named(30))
    scores = metric.scores()
    assert found.units == 30
    assert found.note == ""
    assert list(found.intervals) == list(scores)
    for name, interval in found.intervals.items():
        assert interval.low < scores[name] < interval.high
        assert 0 < interval.error < interval.high - interval.low
        assert found.errors[name] == interval.error
    assert found == uncertainty([metric], named(30))
    assert found != uncertainty([metric], named(30), [f"other{i}" for i in range(30)])


def test_errors_agree_with_drawing_images_and_scikit_learn() -> None:
    cases = maps(12)
    rng = np.random.default_rng(1)
    slow: dict[str, list[float]] = {"miou": [], "mf1": []}
    for _ in range(150):
        drawn = [cases[i] for i in rng.integers(0, 12, 12)]
        p, t = (np.concatenate([c[i].ravel() for c in drawn]) for i in (0, 1))
        slow["miou"].append(100 * jaccard_score(t, p, average="macro"))
        slow["mf1"].append(100 * f1_score(t, p, average="macro"))
    found = uncertainty([filled(cases)], named(12)).errors
    for name, values in slow.items():
        assert found[name] == pytest.approx(np.std(values) * np.sqrt(12 / 11), rel=0.15)


def test_images_give_wider_intervals_than_pixels_when_errors_are_correlated() -> None:
    cases = maps(30)
    pixels = [(p.reshape(-1, 1)[i], t.reshape(-1, 1)[i]) for p, t in cases for i in range(p.size)]
    by_image = uncertainty([filled(cases)], named(len(cases))).errors["oa"]
    by_pixel = uncertainty([filled(pixels)], named(len(pixels))).errors["oa"]
    of_images = [name for name in named(30) for _ in range(36)]
    assert by_image > 2 * by_pixel
    by_groups = uncertainty([filled(pixels)], of_images).errors["oa"]  # other draws of the images
    assert by_groups == pytest.approx(by_image, rel=0.05)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_few_images_have_no_interval_but_an_error(count: int) -> None:
    found = uncertainty([filled(maps(count))], named(count))
    assert found.intervals == {}
    assert bool(found.errors) == (count > 1)
    assert found.note.startswith(f"{count} independent test image")
    tiles = uncertainty([filled(maps(20))], [name for name in named(2) for _ in range(10)])
    assert (tiles.units, tiles.intervals) == (2, {})


def test_a_score_that_rests_on_one_image_has_no_interval() -> None:
    truth, nothing = np.array([[0, 1], [1, 1]]), np.full((2, 2), 255)
    said = np.array([[0, 1], [0, 1]])
    metric = filled([(said, truth)] + [(np.zeros((2, 2), int), nothing)] * 8)
    assert uncertainty([metric], named(9)).intervals == {}


def test_a_score_that_is_never_defined_has_no_interval() -> None:
    metric = Segmentation(CLASSES, "miou", background=True)
    for _ in range(6):
        metric.update(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert np.isnan(metric.scores()["miou_objects"])
    found = uncertainty([metric], named(6)).intervals
    assert set(found) == set(metric.scores()) - {"miou_objects"}


def test_without_an_error_an_interval_has_a_width() -> None:
    truth = np.array([[0, 1], [1, 2]])
    low, high, error = uncertainty([filled([(truth, truth)] * 20)], named(20)).intervals["miou"]
    assert low == pytest.approx(100 * 20 / (20 + 1.96**2), abs=0.1)
    assert (high, error) == (100.0, 0.0)
    found = uncertainty([accuracy(20, 20)], named(20)).intervals["oa"]
    assert found.low == pytest.approx(low)


@pytest.mark.parametrize(("right", "of"), [(20, 20), (19, 20), (99, 100), (71, 100), (0, 9)])
def test_the_interval_of_an_accuracy_is_wilsons(right: int, of: int) -> None:
    found = uncertainty([accuracy(right, of)], named(of)).intervals["oa"]
    wilson = scipy.stats.binomtest(right, of).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * wilson.low, 100 * wilson.high))
    assert found.error == pytest.approx(100 * math.sqrt(right * (of - right) / of**3), rel=0.2)


def test_samples_of_one_place_are_not_counted_as_independent() -> None:
    groups = [f"place{i // 10}" for i in range(100)]
    metric = accuracy(70, 100)  # seven places all right, three all wrong
    found = uncertainty([metric], groups)
    assert found.units == 10
    low, high, error = found.intervals["oa"]
    assert error == pytest.approx(100 * math.sqrt(0.7 * 0.3 / 9), rel=0.1)
    alone = uncertainty([metric], named(100)).intervals["oa"]
    assert high - low > 2.5 * (alone.high - alone.low)


@CASES
@given(st.integers(1, 60), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_interval_of_a_share_holds_it_and_stays_within_bounds(
    count: int, seeds: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hits = (rng.random((seeds, count)) < rng.choice([0.0, 0.8, 1.0])).mean(0)
    low, high = share_interval(hits)
    assert 0 <= low <= hits.mean() <= high <= 1
    assert high - low > 0


def test_seeds_that_agree_say_no_more_than_one() -> None:
    one = np.array([1.0, 1.0, 0.0, 1.0] * 5)
    assert share_interval(np.mean([one, one], axis=0)) == share_interval(one)
    half = np.array([1.0, 0.5, 0.5, 1.0] * 5)  # two seeds that err on different images
    low, high = share_interval(half)
    wide_low, wide_high = share_interval(one)
    assert wide_low < low < 0.75 < high < wide_high
    low, high = share_interval(np.full(20, 1 / 3))  # each image by one seed of three
    assert high - low > 0.3


@pytest.mark.parametrize(
    ("info", "value"),
    [
        (ScoreInfo(), 98.0),
        (ScoreInfo(low=-100.0), -97.0),
        (ScoreInfo(False, "t/ha", 0.0, math.inf), 0.2),
        (ScoreInfo(True, "", -math.inf, 1.0), 0.5),
        (ScoreInfo(None, "m", -math.inf, math.inf), 3.0),
    ],
)
@pytest.mark.parametrize("error", [0.01, 1.0, 1e6])
def test_an_interval_stays_within_the_bounds_of_its_score(
    info: ScoreInfo, value: float, error: float
) -> None:
    low, high = score_interval(value, Spread(error**2, 9.0), info, 10)
    assert info.low <= low < value < high <= info.high
    if error == 0.01:
        assert high - low == pytest.approx(2 * 2.262 * error, rel=0.02)


def test_a_score_at_a_bound_without_another_has_its_value() -> None:
    assert score_interval(0.0, Spread(0.0, 9.0), ScoreInfo(False, "m", 0.0, math.inf), 9) == (0, 0)
    assert score_interval(0.0, Spread(0.0, 9.0), ScoreInfo(), 10)[1] == pytest.approx(27.75, 0.01)


def test_the_interval_of_several_seeds_is_that_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 60)
    good = filled([(np.array([t]), np.array([t])) for t in true])
    said = rng.integers(0, 3, 60)
    poor = filled([(np.array([p]), np.array([t])) for p, t in zip(said, true, strict=True)])
    both = uncertainty([good, poor], named(60)).intervals["oa"]
    mean = (good.scores()["oa"] + poor.scores()["oa"]) / 2
    alone = uncertainty([poor], named(60)).intervals["oa"]
    assert both.low < mean < both.high
    assert not alone.low < mean < alone.high
    assert both.error == pytest.approx(alone.error / 2)  # the good one never varies
