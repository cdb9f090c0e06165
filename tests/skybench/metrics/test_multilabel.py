from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skybench.checks import metric_self_test
from skybench.core import UsageError
from skybench.metrics import mean_average_precision
from skybench.metrics.multilabel import MultiLabel

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)
CLASSES = ("field", "wood", "water", "town")


class Case(NamedTuple):
    scores: np.ndarray  # [N, 4]
    true: np.ndarray  # [N, 4]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many or no ties; classes may be absent or everywhere, but one is always true."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 25)), 4)
    levels = draw(st.sampled_from([1, 3, 10_000]))
    scores = rng.integers(-levels, levels, shape).astype(np.float32) / 3
    true = (rng.random(shape) < rng.choice([0.0, 0.2, 0.5, 1.0], 4)).astype(np.uint8)
    true[0, 2] = 1
    return Case(scores, true)


def filled(case: Case, batch: int = 0) -> MultiLabel:
    metric = MultiLabel(CLASSES, batch)
    for scores, true in zip(*case, strict=True):
        metric.update(scores, true, "key")
    return metric


def loop(scores: np.ndarray, true: np.ndarray) -> float:
    """AP in percent by the definition: at each distinct score, precision times gain in recall."""
    s, t = scores.ravel(), true.ravel()
    total, before = 0.0, 0.0
    for threshold in sorted({*s.tolist()}, reverse=True):
        recall = t[s >= threshold].sum() / t.sum()
        total += (recall - before) * t[s >= threshold].mean()
        before = recall
    return 100 * total


def test_infinite_scores_rank_first_and_last_and_are_equal_among_themselves() -> None:
    true = [[1], [0], [1], [0], [1]]
    found = mean_average_precision([[np.inf], [np.inf], [0.0], [-np.inf], [-np.inf]], true)
    assert found == pytest.approx(mean_average_precision([[2], [2], [1], [0], [0]], true))


@CASES
@given(cases())
def test_it_equals_scikit_learn_and_a_plain_loop(case: Case) -> None:
    found = mean_average_precision(*case)
    present = np.asarray(case.true.any(0))
    scores, true = case.scores[:, present], case.true[:, present]
    each = [loop(scores[:, k], true[:, k]) for k in range(true.shape[1])]
    assert list(found) == ["map_micro", "map_macro"]
    assert found["map_micro"] == pytest.approx(loop(*case))
    assert found["map_macro"] == pytest.approx(np.mean(each))
    micro = average_precision_score(case.true, case.scores, average="micro")
    assert found["map_micro"] == pytest.approx(100 * micro)
    # For a single column scikit-learn averages nothing.
    macro = average_precision_score(true, scores, average="macro")
    assert found["map_macro"] == pytest.approx(100 * macro)
    names = [name for name, there in zip(CLASSES, present, strict=True) if there]
    expected = {name: {"ap": pytest.approx(ap)} for name, ap in zip(names, each, strict=True)}
    assert filled(case).per_class() == expected


@CASES
@given(cases(), st.integers(1, 30))
def test_the_batched_score_is_the_mean_over_whole_batches(case: Case, batch: int) -> None:
    size = min(batch, len(case.true))
    each = []
    for start in range(0, len(case.true) // size * size, size):
        s, t = (part[start : start + size] for part in case)
        each += [loop(s, t)] if t.any() else []
    expected = np.mean(each) if each else np.nan
    found = mean_average_precision(*case, batch=batch)
    assert list(found) == ["map_micro", "map_macro", "map_micro_batched"]
    assert found["map_micro_batched"] == pytest.approx(expected, nan_ok=True)
    assert filled(case, batch).scores() == pytest.approx(found, nan_ok=True)


@CASES
@given(cases(), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_images(case: Case, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, (3, len(case.true)))
    weights[:, 0] += 1  # something is always drawn
    metric = filled(case, 8)
    found = metric.scores(weights.astype(np.float64))
    assert list(found) == ["map_micro", "map_macro"]
    for row, counts in enumerate(weights):
        expected = filled(Case(*(part.repeat(counts, 0) for part in case))).scores()
        assert {n: v[row] for n, v in found.items()} == pytest.approx(expected)


def test_a_resample_that_draws_nothing_true_is_undefined() -> None:
    metric = filled(Case(np.zeros((2, 4)), np.array([[1, 0, 0, 0], [0, 0, 0, 0]])))
    found = metric.scores(np.array([[0.0, 2.0], [2.0, 0.0]]))
    assert np.isnan(found["map_micro"]).tolist() == [True, False]
    assert np.isnan(found["map_macro"]).tolist() == [True, False]


@CASES
@given(cases())
def test_the_truth_gives_100(case: Case) -> None:
    scores = filled(Case(case.true, case.true), 5).scores()
    assert {*scores.values()} <= {100.0} | {v for v in scores.values() if np.isnan(v)}
    assert scores["map_micro"] == 100.0
    metric_self_test.check_metric(MultiLabel(CLASSES), [("", t) for t in case.true])


@CASES
@given(cases())
def test_only_the_order_of_the_scores_matters(case: Case) -> None:
    stretched = Case(np.exp(case.scores.astype(np.float64) / 1e4), case.true)
    assert filled(stretched).scores() == filled(case).scores()


@CASES
@given(cases())
def test_chance_is_the_best_constant_answer(case: Case) -> None:
    answers = set(itertools.product(range(4), repeat=4))  # all orders of 4 classes, ties too
    best = max(
        loop(np.tile(np.array(answer), (len(case.true), 1)), case.true) for answer in answers
    )
    assert filled(case).chance() == pytest.approx(best)


def test_random_scores_are_near_the_share_of_true_labels() -> None:
    rng = np.random.default_rng(0)
    true = (rng.random((5000, 4)) < 0.2).astype(np.uint8)
    found = mean_average_precision(rng.random((5000, 4)), true, batch=256)
    assert found["map_micro"] == pytest.approx(20, abs=1)
    assert found["map_macro"] == pytest.approx(20, abs=1)
    # Few labels a batch: AP is biased upwards, so the batched score is never below the global one.
    assert found["map_micro"] < found["map_micro_batched"] < 24


def test_an_update_after_scores_counts_and_fresh_is_empty() -> None:
    metric = filled(Case(np.eye(4), np.eye(4)), 3)
    assert metric.scores()["map_micro"] == 100.0
    metric.update(np.array([0.0, 0.0, 0.0, 9.0]), np.array([1, 0, 0, 0]))
    assert metric.scores()["map_micro"] < 100.0
    other = metric.fresh()
    assert (other.true, other.batch, other.classes) == ([], 3, CLASSES)


def test_nothing_true_at_all_is_undefined() -> None:
    found = mean_average_precision(np.zeros((3, 2)), np.zeros((3, 2)), batch=2)
    assert np.isnan([*found.values()]).all()


@pytest.mark.parametrize(
    ("scores", "true", "message"),
    [
        ([[0.1, 0.2]], [[1, 0, 0]], r"one shape \[N, K\], but got \(1, 2\) and \(1, 3\)"),
        ([0.1, 0.2], [1, 0], r"one shape \[N, K\]"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"one shape \[N, K\]"),
        ([[np.nan, 0.2]], [[1, 0]], "scores that can be ranked"),
        ([[0.1, 0.2]], [[2, 0]], "classes of 0 and 1"),
        ([[0.1, 0.2]], [[1, 255]], "classes of 0 and 1"),
    ],
)
def test_unfit_input_is_refused(scores: Any, true: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mean_average_precision(scores, true)


def test_an_image_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"scores and classes \[4\] of an image, but got \(3,\)"):
        MultiLabel(CLASSES).update(np.zeros(3), np.zeros(3))
