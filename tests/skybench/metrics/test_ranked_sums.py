"""Running sums in blocks of runs, against the same sums along the ranking."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from skybench.metrics import ranked_sums
from skybench.metrics.ranked_sums import (
    RUN,
    WeightTables,
    accumulate,
    arranged,
    highest_from_here,
    increments,
    side_by_side,
    sums,
)

RNG = np.random.default_rng(0)


def block_of(ranked: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Values [places, columns] of one block in its order, 0 at the empty places."""
    padded = np.zeros((len(order), ranked.shape[1]))
    padded[: len(ranked)] = ranked
    return np.asarray(padded[order].reshape(RUN, -1, ranked.shape[1]))


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_a_block_is_summed_along_the_ranking(count: int, columns: int) -> None:
    order = side_by_side(count, 10)
    ranked = RNG.integers(0, 5, (count, columns)).astype(float)
    block = block_of(ranked, order)
    last = accumulate(block, np.full(columns, 7.0))
    running = 7 + np.cumsum(ranked, 0)
    places = np.argsort(order)[:count]
    np.testing.assert_array_equal(block.reshape(-1, columns)[places], running)
    np.testing.assert_array_equal(last, running[-1])
    gains = increments(block).reshape(-1, columns)[places]
    np.testing.assert_array_equal(gains[1:], ranked[1:])
    np.testing.assert_array_equal(gains[0], running[0])


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("count", [5, 64, 150])
def test_the_highest_value_at_a_place_or_later(count: int, columns: int) -> None:
    order = side_by_side(count, 10)
    ranked = RNG.random((count, columns))
    block = block_of(ranked, order)
    highest_from_here(block)
    expected = np.maximum.accumulate(ranked[::-1], 0)[::-1]
    np.testing.assert_array_equal(block.reshape(-1, columns)[np.argsort(order)[:count]], expected)


@pytest.mark.parametrize("columns", [1, 4])
def test_the_weights_at_each_place_are_summed_in_any_order(columns: int) -> None:
    lengths = RNG.integers(0, 4, 300)
    starts = np.append(0, np.cumsum(lengths))
    images, weights = RNG.integers(0, 20, starts[-1]), RNG.random((20, columns))
    order = side_by_side(300, 2)
    assert len(order) == 3 * 2 * RUN  # three blocks, the last with empty places
    found = sums(weights, *arranged(images, starts, order)).reshape(-1, columns)
    expected = [weights[images[a:b]].sum(0) for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(found[np.argsort(order)[:300]], expected, atol=1e-12)


def test_whole_weights_are_float32_while_their_sums_are_exact() -> None:
    weights = RNG.integers(0, 3, (70, 9)).astype(float)
    tables = WeightTables(weights)
    assert tables.total == weights.sum(1).max()
    assert [t.shape for t in tables.of(100)] == [(9, 64), (9, 6)]
    assert {t.dtype for t in tables.of(2.0**24 - 1)} == {np.dtype(np.float32)}
    assert {t.dtype for t in tables.of(2.0**24)} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(np.concatenate(tables.of(100), 1).T, weights)
    assert tables.of(5)[0] is tables.of(6)[0]  # made once for all rankings
    for other in (weights + 0.5, weights[: ranked_sums.FEW]):
        assert WeightTables(other).of(1)[0].dtype == np.float64
