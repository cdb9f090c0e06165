from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score, top_k_accuracy_score

from skybench.core import UsageError
from skybench.metrics import overall_accuracy
from skybench.metrics.accuracy import Accuracy

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)
CLASSES = ("field", "wood", "water", "town")
Pairs = list[tuple[int, int]]  # predicted, true

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def filled(cases: Pairs) -> Accuracy:
    metric = Accuracy(CLASSES)
    for predicted, true in cases:
        metric.update(predicted, true)
    return metric


@CASES
@given(pairs)
def test_it_equals_scikit_learn(cases: Pairs) -> None:
    predicted, true = zip(*cases, strict=True)
    found = overall_accuracy(predicted, true)
    present = sorted(set(true))
    assert list(found) == ["oa", "aa"]
    assert found["oa"] == pytest.approx(100 * accuracy_score(true, predicted))
    recall = recall_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert found["aa"] == pytest.approx(100 * recall)


@CASES
@given(pairs)
def test_it_equals_a_plain_loop(cases: Pairs) -> None:
    recalls = []
    for c in {t for _, t in cases}:
        mine = [p == t for p, t in cases if t == c]
        recalls.append(sum(mine) / len(mine))
    scores = filled(cases).scores()
    assert scores["aa"] == pytest.approx(100 * sum(recalls) / len(recalls))
    assert scores["oa"] == pytest.approx(100 * sum(p == t for p, t in cases) / len(cases))


@CASES
@given(pairs)
def test_the_truth_gives_100(cases: Pairs) -> None:
    assert filled([(t, t) for _, t in cases]).scores() == {"oa": 100.0, "aa": 100.0}


@CASES
@given(pairs, st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_images(cases: Pairs, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(cases)))
    weights[:, 0] += 1  # something is always drawn
    found = filled(cases).scores(weights.astype(np.float64))
    for row, counts in enumerate(weights):
        repeated = [case for case, n in zip(cases, counts, strict=True) for _ in range(n)]
        expected = filled(repeated).scores()
        assert {name: values[row] for name, values in found.items()} == pytest.approx(expected)


@CASES
@given(pairs)
def test_chance_is_the_best_constant_answer(cases: Pairs) -> None:
    constants = [filled([(c, t) for _, t in cases]).scores()["oa"] for c in range(4)]
    assert filled(cases).chance() == pytest.approx(max(constants))


def test_per_class_gives_the_recall_of_the_classes_that_occur() -> None:
    metric = filled([(0, 0), (1, 0), (2, 2), (1, 2), (2, 2), (1, 2)])
    assert metric.per_class() == {"field": {"recall": 50.0}, "water": {"recall": 50.0}}


def test_tensor_and_array_ids_count_like_integers() -> None:
    metric = Accuracy(CLASSES)
    metric.update(np.int64(2), np.array(2))
    metric.update(1, np.array(2))
    assert metric.scores()["oa"] == 50.0


def test_fresh_is_empty_and_keeps_the_classes() -> None:
    metric = filled([(0, 1)])
    other = metric.fresh()
    other.update(1, 1)
    assert other.scores()["oa"] == 100.0
    assert list(other.per_class()) == ["wood"]
    assert metric.scores()["oa"] == 0.0


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores [N, 8] with many ties, and classes [N]."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, levels = draw(st.integers(1, 20)), draw(st.sampled_from([1, 3, 1000]))
    scores = rng.integers(0, levels, (count, 8)).astype(np.float32) / 7
    return scores, rng.integers(0, 8, count)


def filled_with_scores(scores: np.ndarray, true: np.ndarray) -> Accuracy:
    metric = Accuracy(tuple(map(str, range(scores.shape[1]))))
    for one, other in zip(scores, true, strict=True):
        metric.update(one, int(other), "key")
    return metric


@CASES
@given(scored())
def test_of_scores_the_argmax_counts_and_the_five_highest(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, true = case
    found = overall_accuracy(scores, true)
    assert list(found) == ["oa", "aa", "top5"]
    ids = overall_accuracy(scores.argmax(1), true)
    assert {name: found[name] for name in ids} == ids
    among = [
        t in sorted(range(8), key=lambda k: (-s[k], k))[:5] for s, t in zip(*case, strict=True)
    ]
    assert found["top5"] == pytest.approx(100 * np.mean(among))
    assert filled_with_scores(*case).scores() == found


def test_top5_equals_scikit_learn_where_no_scores_are_equal() -> None:
    rng = np.random.default_rng(0)
    scores, true = rng.normal(size=(200, 9)), rng.integers(0, 9, 200)
    expected = top_k_accuracy_score(true, scores, k=5, labels=range(9))
    assert overall_accuracy(scores, true)["top5"] == pytest.approx(100 * expected)
    assert 40 < overall_accuracy(scores, true)["top5"] < 70  # chance is 5 of 9


@CASES
@given(scored(), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_images_for_scores(
    case: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    scores, true = case
    counts = np.random.default_rng(seed).integers(0, 4, len(true))
    counts[0] += 1
    found = filled_with_scores(scores, true).scores(counts[None].astype(np.float64))
    repeated = filled_with_scores(scores.repeat(counts, 0), true.repeat(counts)).scores()
    assert {name: values[0] for name, values in found.items()} == pytest.approx(repeated)


def test_equal_scores_say_the_first_classes() -> None:
    scores = np.zeros((8, 8))
    assert overall_accuracy(scores, range(8)) == {"oa": 12.5, "aa": 12.5, "top5": 62.5}


def test_top5_is_left_out_for_few_classes_and_for_class_ids() -> None:
    assert list(overall_accuracy(np.eye(5), range(5))) == ["oa", "aa"]
    metric = filled_with_scores(np.eye(6), np.arange(6))
    metric.update(3, 3)
    assert metric.scores() == {"oa": 100.0, "aa": 100.0}


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0.1, np.nan, 0.3], 1, "scores that can be ranked"),
        ([0.1, 0.2], 2, "a true class id below K"),
        ([0.1, 0.2], -1, "a true class id below K"),
        ([[0.1, 0.2]], 0, r"shape \(1, 2\)"),
        (0.7, 0, "Expected an integer class id, but got 0.7"),
        (1, 1.0, "Expected an integer class id, but got 1.0"),
    ],
)
def test_what_is_neither_a_class_id_nor_scores_is_refused(
    prediction: object, target: object, message: str
) -> None:
    metric = Accuracy(CLASSES)
    with pytest.raises(UsageError, match=message):
        metric.update(prediction, target)
    assert metric.true == []


@pytest.mark.parametrize(
    ("predicted", "true"),
    [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]]), ([[0.1, 0.9]], [1, 0])],
)
def test_unfit_shapes_are_refused(predicted: object, true: object) -> None:
    with pytest.raises(UsageError, match="Expected two lists of class ids of the same length"):
        overall_accuracy(np.asarray(predicted), np.asarray(true))


@CASES
@given(pairs, st.integers(0, 2**32 - 1))
def test_the_main_score_alone_is_that_of_all(cases: Pairs, seed: int) -> None:
    metric = filled(cases)
    weights = np.random.default_rng(seed).integers(0, 3, (5, len(cases))).astype(float)
    weights[:, 0] += 1
    assert metric.main_score() == metric.scores()["oa"]
    np.testing.assert_array_equal(metric.main_score(weights), metric.scores(weights)["oa"])
