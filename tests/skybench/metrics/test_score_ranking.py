"""Weighted average precision, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from skybench.metrics import ranked_sums, score_ranking
from skybench.metrics.score_ranking import average_precision, average_precisions, rank_scores


@pytest.mark.parametrize("levels", [2, 40, 10**6])
@pytest.mark.parametrize("images", [7, 900])
@pytest.mark.parametrize(("whole", "digits"), [(True, 2e-6), (False, 1e-12)])
def test_weighted_precision_is_scikit_learns(
    levels: int, images: int, whole: bool, digits: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many or no equal scores, of one block or of several, in float32 and in float64."""
    monkeypatch.setattr(score_ranking, "RUNS", 2)
    rng = np.random.default_rng(levels + images)
    index = np.repeat(np.arange(images), 3)
    scores = rng.integers(0, levels, len(index)) / levels
    true = rng.random(len(index)) < 0.3
    true[:2] = True, False
    weights = rng.poisson(1, (ranked_sums.FEW + 2, images)).astype(np.float64)
    weights += 0 if whole else rng.random(images)
    weights[:, 0] += 1
    found = average_precisions([rank_scores(scores, true, index)], weights)
    expected = [average_precision_score(true, scores, sample_weight=row[index]) for row in weights]
    assert found[:, 0].tolist() == pytest.approx(expected, rel=digits)
    assert average_precision(scores, true) == pytest.approx(average_precision_score(true, scores))


def test_rankings_are_evaluated_apart_and_undefined_without_a_weight() -> None:
    index = np.arange(20)
    scores = np.random.default_rng(0).random(20)
    true = index < 5
    nothing = rank_scores(scores, index < 0, index)
    first = rank_scores(scores, true, index)
    weights = np.ones((12, 20))
    weights[3, :5] = 0
    found = average_precisions([first, nothing, first], weights)
    assert np.isnan(found[:, 1]).all()
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [3]
    np.testing.assert_array_equal(found[:, 0], found[:, 2])
    assert np.isnan(average_precision(scores, index < 0))


def test_a_block_of_replicates_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the memory for a ranking does not grow with the number of replicates."""
    rng = np.random.default_rng(0)
    ranking = rank_scores(rng.random(400), rng.random(400) < 0.4, np.arange(400))
    weights = rng.poisson(1, (50, 400)).astype(float)
    whole = average_precisions([ranking], weights)
    monkeypatch.setattr(score_ranking, "REPLICATES", 16)
    monkeypatch.setattr(score_ranking, "CELLS", 1)
    shapes = []
    original = ranked_sums.sums

    def seen(table: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        shapes.append(table.shape)
        return original(table, *rest)

    monkeypatch.setattr("skybench.metrics.score_ranking.sums", seen)
    np.testing.assert_array_equal(average_precisions([ranking], weights), whole)
    assert {*shapes} == {(400, 16), (400, 2)}
