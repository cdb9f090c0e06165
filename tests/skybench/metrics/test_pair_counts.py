from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from skybench.core import InvalidArray
from skybench.metrics import confusion, pair_counts
from skybench.metrics._arrays import as_masked
from skybench.metrics.pair_counts import PairCounts, count_pairs


def counted(predicted: Any, true: Any, ignore: int = 255) -> PairCounts:
    return count_pairs(as_masked(predicted, "predicted"), as_masked(true, "true"), ignore)


@pytest.mark.parametrize(
    ("low", "ignore", "dtype"),
    [(0, 255, np.uint8), (0, 65535, np.uint16), (0, -1, np.int64), (-3, 7, np.int8)],
)
def test_pairs_of_any_integers_are_counted_as_scikit_learn_does(
    low: int, ignore: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_counts, "PIXELS", 500)  # several parts, and a last shorter one
    rng = np.random.default_rng(0)
    true, said = rng.integers(low, low + 5, (2, 13, 211)).astype(dtype)
    said[0] = low + 1  # and one class is never predicted
    said[said == low + 4] = low
    true[rng.random(true.shape) < 0.2] = ignore
    found = counted(said, true, ignore)
    labelled = true != ignore
    ids = list(range(low, low + 5))
    expected = confusion_matrix(true[labelled], said[labelled], labels=ids)
    assert found.true.tolist() == ids
    assert found.predicted.tolist() == ids[:4]
    np.testing.assert_array_equal(found.counts, expected[:, :4])


def test_what_is_predicted_where_nothing_is_labelled_is_no_id() -> None:
    found = counted([0, 200, 1], [0, 255, 0])
    assert found.predicted.tolist() == [0, 1]
    assert confusion([0, 200, 1], [0, 255, 0], 2).tolist() == [[1, 1], [0, 0]]
    assert counted([3], [255]).counts.shape == (0, 0)
    assert counted(np.zeros((0, 4), int), np.zeros((0, 4), int)).true.size == 0


def test_ids_far_apart_take_no_memory() -> None:
    mark = -(2**31)
    found = counted([0, 2**40, 0], [5, 5, mark], mark)
    assert (found.true.tolist(), found.predicted.tolist()) == ([5], [0, 2**40])
    assert found.counts.tolist() == [[1, 1]]
    whole = np.array([2**64 - 1, 0], np.uint64)
    assert counted(whole, whole).ids["true"].tolist() == [0, 2**64 - 1]
    with pytest.raises(InvalidArray, match="5000 different values in true and 5000 in predicted"):
        counted(np.arange(5000) * 2**40, np.arange(5000) * 2**40)


def test_pixels_masked_in_either_array_are_left_out() -> None:
    said = np.ma.masked_array([0, 1, 1, 0], [True, False, False, False])
    true = np.ma.masked_array([0, 1, 0, 1], [False, False, True, False])
    found = counted(said, true)
    assert (found.true.tolist(), found.counts.tolist()) == ([1], [[1, 1]])


@pytest.mark.parametrize(("low", "least"), [(0, 0), (200, 3), (1, 254)])
def test_bytes_of_any_range_are_counted_as_wider_integers_are(low: int, least: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(low, 256, 70_000).astype(np.uint8)
    said = rng.integers(least, 256, 70_000).astype(np.uint8)
    short, wide = (
        count_pairs(as_masked(said.astype(kind), "said"), as_masked(true.astype(kind), "true"), -1)
        for kind in (np.uint8, np.int64)
    )
    for one, other in zip(short, wide, strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(short.counts.sum()) == 70_000
