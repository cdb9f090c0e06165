from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from skybench import stats
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.segmentation import Segmentation

CLASSES = ("field", "wood", "water")


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


def test_every_resampling_draws_as_many_images_as_there_are() -> None:
    for images in (1, 7, 49, 1000):
        drawn = np.concatenate(list(stats.resamplings(images)))
        assert drawn.shape == (stats.RESAMPLES, images)
        assert drawn.dtype == np.float64
        assert (drawn.sum(1) == images).all()
        assert (drawn >= 0).all()
        assert (drawn == drawn.round()).all()


def test_each_image_is_drawn_as_often_as_when_drawing_with_replacement() -> None:
    drawn = np.concatenate(list(stats.resamplings(20, resamples=20_000)))
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.05)
    np.testing.assert_allclose(drawn.var(0), 1 - 1 / 20, atol=0.06)


def test_resamplings_follow_the_seed() -> None:
    (first,), (again,), (other,) = (list(stats.resamplings(9, seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_size_of_a_block_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = stats.resamplings(30)
    found = stats.intervals([filled(maps(30))], 30)
    monkeypatch.setattr(stats, "BLOCK", 30 * 64)
    blocks = list(stats.resamplings(30))
    assert [len(b) for b in blocks] == [64] * 15 + [40]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert stats.intervals([filled(maps(30))], 30) == found


def test_intervals_contain_the_score_and_follow_the_seed() -> None:
    metric = filled(maps(30))
    found = stats.intervals([metric], 30, seed=5)
    scores = metric.scores()
    assert list(found) == list(scores)
    for name, interval in found.items():
        assert interval.low < scores[name] < interval.high
        assert 0 < interval.error < interval.high - interval.low
    assert found == stats.intervals([metric], 30, seed=5)
    assert found != stats.intervals([metric], 30, seed=6)


def test_intervals_agree_with_drawing_images_and_scikit_learn() -> None:
    cases = maps(12)
    rng = np.random.default_rng(1)
    slow: dict[str, list[float]] = {"miou": [], "mf1": []}
    for _ in range(500):
        drawn = [cases[i] for i in rng.integers(0, 12, 12)]
        p, t = (np.concatenate([c[i].ravel() for c in drawn]) for i in (0, 1))
        slow["miou"].append(100 * jaccard_score(t, p, average="macro"))
        slow["mf1"].append(100 * f1_score(t, p, average="macro"))
    found = stats.intervals([filled(cases)], 12)
    for name, values in slow.items():
        low, high = np.percentile(values, [2.5, 97.5])
        # A 2.5 % quantile of 500 draws has a standard error of 0.12 deviations, of 1000, 0.08.
        slack = 0.5 * float(np.std(values))
        assert found[name].low == pytest.approx(low, abs=slack)
        assert found[name].high == pytest.approx(high, abs=slack)
        assert found[name].error == pytest.approx(np.std(values), rel=0.15)


def test_the_error_of_an_accuracy_is_the_binomial_one() -> None:
    metric = Accuracy(CLASSES)
    for i in range(200):
        metric.update(0 if i % 4 else 1, 0)
    error = stats.intervals([metric], 200)["oa"].error
    assert error == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 200), rel=0.1)


def test_images_give_wider_intervals_than_pixels_when_errors_are_correlated() -> None:
    cases = maps(30)
    pixels = [(p.reshape(-1, 1)[i], t.reshape(-1, 1)[i]) for p, t in cases for i in range(p.size)]
    by_image = stats.intervals([filled(cases)], len(cases))["oa"]
    by_pixel = stats.intervals([filled(pixels)], len(pixels))["oa"]
    assert by_image.high - by_image.low > 2 * (by_pixel.high - by_pixel.low)


def test_a_resample_without_any_labelled_pixel_is_left_out() -> None:
    nothing = np.full((2, 2), 255)
    truth = np.array([[0, 1], [1, 1]])
    metric = filled([(truth, truth), (np.zeros((2, 2), int), nothing)])
    assert stats.intervals([metric], 2)["miou"] == stats.Interval(100.0, 100.0, 0.0)


def test_a_score_that_is_never_defined_has_no_interval() -> None:
    metric = Segmentation(CLASSES, "miou", background=True)
    for _ in range(3):
        metric.update(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert np.isnan(metric.scores()["miou_objects"])
    assert set(stats.intervals([metric], 3)) == set(metric.scores()) - {"miou_objects"}


def test_the_spread_over_seeds() -> None:
    assert stats.spread([71.0]) == 0.0
    assert stats.spread([70.0, 72.0, 74.0]) == pytest.approx(2.0)


def test_the_interval_of_several_seeds_is_that_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 60)
    good = filled([(np.array(t), np.array(t)) for t in true])
    said = rng.integers(0, 3, 60)
    poor = filled([(np.array(p), np.array(t)) for p, t in zip(said, true, strict=True)])
    both = stats.intervals([good, poor], 60)["oa"]
    mean = (good.scores()["oa"] + poor.scores()["oa"]) / 2
    alone = stats.intervals([poor], 60)["oa"]
    assert both.low < mean < both.high
    assert not alone.low < mean < alone.high
    assert both.error == pytest.approx(alone.error / 2)  # the good one never varies
