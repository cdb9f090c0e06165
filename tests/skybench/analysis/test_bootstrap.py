from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from skybench.analysis import bootstrap
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.average_precision import COCO_RECALLS, Ranked, box_average_precision
from skybench.metrics.matching import Verdicts
from skybench.metrics.multilabel import MultiLabel
from skybench.metrics.segmentation import Segmentation, mean_scores

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
        drawn = np.concatenate(list(bootstrap.resamplings(images)))
        assert drawn.shape == (bootstrap.RESAMPLES, images)
        assert drawn.dtype == np.float64
        assert (drawn.sum(1) == images).all()
        assert (drawn >= 0).all()
        assert (drawn == drawn.round()).all()


def test_each_image_is_drawn_as_often_as_when_drawing_with_replacement() -> None:
    drawn = np.concatenate(list(bootstrap.resamplings(20, resamples=20_000)))
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.05)
    np.testing.assert_allclose(drawn.var(0), 1 - 1 / 20, atol=0.06)


def test_resamplings_follow_the_seed() -> None:
    (first,), (again,), (other,) = (list(bootstrap.resamplings(9, seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_size_of_a_block_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = bootstrap.resamplings(30)
    found = bootstrap.intervals([filled(maps(30))], 30)
    monkeypatch.setattr(bootstrap, "BLOCK", 30 * 64)
    blocks = list(bootstrap.resamplings(30))
    assert [len(b) for b in blocks] == [64] * 15 + [40]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert bootstrap.intervals([filled(maps(30))], 30) == found


def test_intervals_contain_the_score_and_follow_the_seed() -> None:
    metric = filled(maps(30))
    found = bootstrap.intervals([metric], 30, seed=5)
    scores = metric.scores()
    assert list(found) == list(scores)
    for name, interval in found.items():
        assert interval.low < scores[name] < interval.high
        assert 0 < interval.error < interval.high - interval.low
    assert found == bootstrap.intervals([metric], 30, seed=5)
    assert found != bootstrap.intervals([metric], 30, seed=6)


def test_intervals_agree_with_drawing_images_and_scikit_learn() -> None:
    cases = maps(12)
    rng = np.random.default_rng(1)
    slow: dict[str, list[float]] = {"miou": [], "mf1": []}
    for _ in range(500):
        drawn = [cases[i] for i in rng.integers(0, 12, 12)]
        p, t = (np.concatenate([c[i].ravel() for c in drawn]) for i in (0, 1))
        slow["miou"].append(100 * jaccard_score(t, p, average="macro"))
        slow["mf1"].append(100 * f1_score(t, p, average="macro"))
    found = bootstrap.intervals([filled(cases)], 12)
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
    error = bootstrap.intervals([metric], 200)["oa"].error
    assert error == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 200), rel=0.1)


def test_images_give_wider_intervals_than_pixels_when_errors_are_correlated() -> None:
    cases = maps(30)
    pixels = [(p.reshape(-1, 1)[i], t.reshape(-1, 1)[i]) for p, t in cases for i in range(p.size)]
    by_image = bootstrap.intervals([filled(cases)], len(cases))["oa"]
    by_pixel = bootstrap.intervals([filled(pixels)], len(pixels))["oa"]
    assert by_image.high - by_image.low > 2 * (by_pixel.high - by_pixel.low)


def test_a_single_image_has_no_interval() -> None:
    assert bootstrap.intervals([filled(maps(1))], 1) == {}


def test_a_resample_without_any_labelled_pixel_is_left_out() -> None:
    nothing = np.full((2, 2), 255)
    truth = np.array([[0, 1], [1, 1]])
    metric = filled([(truth, truth), (np.zeros((2, 2), int), nothing)])
    assert bootstrap.intervals([metric], 2)["miou"] == bootstrap.Interval(100.0, 100.0, 0.0)


def test_a_score_that_is_never_defined_has_no_interval() -> None:
    metric = Segmentation(CLASSES, "miou", background=True)
    for _ in range(3):
        metric.update(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert np.isnan(metric.scores()["miou_objects"])
    assert set(bootstrap.intervals([metric], 3)) == set(metric.scores()) - {"miou_objects"}


def test_the_spread_over_seeds() -> None:
    assert bootstrap.seed_deviation([71.0]) == 0.0
    assert bootstrap.seed_deviation([70.0, 72.0, 74.0]) == pytest.approx(2.0)


def test_the_interval_of_several_seeds_is_that_of_their_mean() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 60)
    good = filled([(np.array(t), np.array(t)) for t in true])
    said = rng.integers(0, 3, 60)
    poor = filled([(np.array(p), np.array(t)) for p, t in zip(said, true, strict=True)])
    both = bootstrap.intervals([good, poor], 60)["oa"]
    mean = (good.scores()["oa"] + poor.scores()["oa"]) / 2
    alone = bootstrap.intervals([poor], 60)["oa"]
    assert both.low < mean < both.high
    assert not alone.low < mean < alone.high
    assert both.error == pytest.approx(alone.error / 2)  # the good one never varies


# Coverage: how often the 95 % interval holds the score of endless test images. With 400
# repetitions its standard error is 1.1 points, so 93 to 97 % is asked for within 2 errors.
REPEATED = 400
ERROR = np.sqrt(0.95 * 0.05 / REPEATED)


def drawn(images: int, resamples: int = 500) -> np.ndarray:
    return np.concatenate(list(bootstrap.resamplings(images)))[:resamples]


def covered(each: list[np.ndarray], truth: float) -> float:
    low, high = np.percentile(np.array(each), [2.5, 97.5], axis=1)
    return float(np.mean((low <= truth) & (truth <= high)))


def assert_nominal(each: list[np.ndarray], truth: float) -> None:
    assert 0.93 - 2 * ERROR < covered(each, truth) < 0.97 + 2 * ERROR


def test_accuracys_interval_covers() -> None:
    weights, rng = drawn(200, bootstrap.RESAMPLES), np.random.default_rng(0)
    right = (rng.random((200, 4000)) < 0.8).astype(float)
    each = weights @ right / 200 * 100  # [resamples, repetitions]
    metric = Accuracy(CLASSES)
    for one in right[:, 0]:
        metric.update(int(1 - one), 0)
    assert bootstrap.intervals([metric], 200)["oa"][:2] == pytest.approx(
        np.percentile(each[:, 0], [2.5, 97.5])
    )
    assert 0.93 < covered([*each.T], 80.0) < 0.97  # 4,000 repetitions: an error of 0.3 points


def matrices(count: int, rng: np.random.Generator) -> np.ndarray:
    """Confusions [count, 3, 3] of images of 64 pixels, each of its own classes and difficulty."""
    true = rng.multinomial(np.full(count, 64), rng.dirichlet([2, 1, 0.3], count))
    right, found = rng.beta(4, 1.5, count), np.zeros((count, 3, 3))
    for k in range(3):
        found[:, k, k] = rng.binomial(true[:, k], right)
        wrong = true[:, k] - found[:, k, k].astype(int)
        found[:, k, (k + 1) % 3] = rng.binomial(wrong, 0.5)
        found[:, k, (k + 2) % 3] = wrong - found[:, k, (k + 1) % 3]
    return found


def test_the_intervals_of_miou_and_f1_cover_where_pixels_of_an_image_are_alike() -> None:
    weights, rng = drawn(100), np.random.default_rng(1)
    truth = mean_scores(matrices(200_000, rng).sum(0))
    each = [mean_scores(np.tensordot(weights, matrices(100, rng), 1)) for _ in range(REPEATED)]
    for name in ("miou", "mf1"):
        assert_nominal([e[name] for e in each], float(truth[name]))


def pairs(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truth [count, 3] of images, each of its own difficulty."""
    true = rng.random((count, 3)) < [0.5, 0.3, 0.1]
    return true * 1.5 + rng.normal(0, 0.5, (count, 1)) + rng.normal(0, 1, (count, 3)), true


def micro(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Micro AP [B] in percent of scores without ties: all resamples at once."""
    order = np.argsort(-scores.ravel())
    hits = np.flatnonzero(true.ravel()[order])
    each = weights[:, np.repeat(np.arange(len(scores)), 3)[order]]
    gain, seen = each[:, hits], np.cumsum(each, 1)[:, hits]
    found = np.cumsum(gain, 1)
    return np.asarray((gain * found / np.where(seen, seen, 1)).sum(1) / found[:, -1] * 100)


def test_micro_maps_interval_covers() -> None:
    weights, rng = drawn(100), np.random.default_rng(2)
    metric, (scores, true) = MultiLabel(CLASSES), pairs(100, rng)
    for one, other in zip(scores, true, strict=True):
        metric.update(one, other)
    np.testing.assert_allclose(
        metric.scores(weights[:5])["map_micro"], micro(scores, true, weights[:5])
    )
    whole = np.ones((1, 100_000))
    truth = float(np.mean([micro(*pairs(100_000, rng), whole) for _ in range(2)]))
    assert_nominal([micro(*pairs(100, rng), weights) for _ in range(REPEATED)], truth)


def scene(count: int, rng: np.random.Generator) -> Ranked:
    """Detections of one class in images, each of its own difficulty, judged at one IoU."""
    easy, objects = rng.beta(3, 1.5, count), rng.poisson(3, count)
    of = np.repeat(np.arange(count), objects)
    found = of[rng.random(len(of)) < easy[of]]
    images = np.concatenate([found, np.repeat(np.arange(count), rng.poisson(2 * (1 - easy)))])
    hit = np.arange(len(images)) < len(found)
    order = np.argsort(-rng.normal(hit * 1.2, 1))
    judged = Verdicts(hit[order, None], np.zeros((len(images), 1), bool))
    return Ranked(images[order], judged, objects.astype(float))


def test_ap50s_interval_covers() -> None:
    weights, rng = drawn(60), np.random.default_rng(3)

    def ap(ranked: Ranked, weights: np.ndarray) -> np.ndarray:
        return box_average_precision(ranked, weights, (COCO_RECALLS,))[0][:, 0]

    whole = np.ones((1, 100_000))
    truth = float(np.mean([ap(scene(100_000, rng), whole) for _ in range(2)]))
    assert_nominal([ap(scene(60, rng), weights) for _ in range(REPEATED)], truth)


def test_of_ten_images_the_intervals_are_too_narrow() -> None:
    weights, rng = drawn(10), np.random.default_rng(4)
    truth = float(mean_scores(matrices(200_000, rng).sum(0))["miou"])
    each = [
        mean_scores(np.tensordot(weights, matrices(10, rng), 1))["miou"] for _ in range(REPEATED)
    ]
    assert covered(each, truth) < 0.92
