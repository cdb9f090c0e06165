from __future__ import annotations

import numpy as np
import pytest

from skybench.metrics.ordering import descending, numbered


@pytest.mark.parametrize("levels", [2, 30, 10**6])
def test_equal_scores_stay_in_the_order_given(levels: int) -> None:
    scores = np.random.default_rng(levels).integers(-levels, levels, 500) / levels
    scores[[3, 8, 9]] = np.inf, np.inf, -np.inf
    scores[[20, 21]] = 0.0, -0.0
    np.testing.assert_array_equal(descending(scores), np.argsort(-scores, kind="stable"))
    assert descending(scores[:0]).tolist() == []


@pytest.mark.parametrize("factor", [1, 3, 10**12, -1])
def test_labels_are_numbered_in_their_order(factor: int) -> None:
    rng = np.random.default_rng(0)
    one, other = factor * rng.integers(0, 9, 40), factor * rng.integers(4, 300, 50)
    names = np.unique(np.concatenate([one, other]))
    found, count = numbered(one, other)
    assert count == len(names)
    assert {array.dtype for array in found} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(names[found[0]], one)
    np.testing.assert_array_equal(names[found[1]], other)
    assert numbered(one[:0], other[:0])[1] == 0
