from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score

from skybench.core import UsageError
from skybench.metrics import overall_accuracy
from skybench.metrics.accuracy import Accuracy

CASES = settings(max_examples=60, deadline=None, derandomize=True, database=None)
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


@pytest.mark.parametrize(
    ("predicted", "true"), [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]]), (0, 0)]
)
def test_unfit_shapes_are_refused(predicted: object, true: object) -> None:
    with pytest.raises(UsageError, match="Expected two lists of class ids of the same length"):
        overall_accuracy(np.asarray(predicted), np.asarray(true))
