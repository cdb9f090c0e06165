"""Average precision of ranked scores: once, or for many weights of the images (bootstrap)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.metrics.ranked_sums import (
    REPLICATES,
    RUN,
    Floats,
    Numbers,
    WeightTables,
    accumulate,
    arranged,
    side_by_side,
    sums,
)

RUNS = 64  # runs of a block: 1 MB of float32, which stays in the processor's cache
CELLS = 2**17  # replicates times scores of small rankings


class ScoreRanking(NamedTuple):
    """Scores in descending order: sorted once, then evaluated for any weights of the images.

    A place of the ranking is a threshold, a distinct score of a true pair; see `ranked_sums`.
    """

    images: Numbers  # the image of each score that is reached since the threshold before
    starts: Numbers  # of each threshold in `images`, and their number [thresholds + 1]
    hits: Numbers  # the image of each true pair
    hit_starts: Numbers  # likewise
    most: int  # pairs of one image


def average_precision(scores: NDArray[Any], true: NDArray[np.bool_]) -> float:
    """Return the AP in 0..1 of scores [M] without weights; NaN if nothing is true.

    The sum over distinct thresholds of the increase in recall times the precision, without
    interpolation (as scikit-learn's average_precision_score).

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    hits, every = np.sort(scores[true]), np.sort(scores)
    if not len(hits):
        return float("nan")
    # Sorted values are searched in order, several times as fast as an argsort of all scores.
    found = len(hits) - np.searchsorted(hits, hits)
    seen = len(every) - np.searchsorted(every, hits)
    return float((found / seen).mean())


def rank_scores(scores: NDArray[Any], true: NDArray[Any], images: NDArray[Any]) -> ScoreRanking:
    """Rank scores [M], given their truth, 0 or 1, and the image of each."""
    order = np.argsort(-scores)  # the order of equal scores makes no difference
    descending, ranked = scores[order], images[order]
    hits = np.flatnonzero(true[order])
    lower = descending[1:] != descending[:-1]  # no difference: that of infinities is NaN
    ends = np.append(np.flatnonzero(lower) + 1, len(order))  # of distinct scores
    reached = ends[np.searchsorted(ends, hits, "right")]
    starts = np.append(0, reached[np.append(reached[1:] != reached[:-1], True)[: len(hits)]])
    places = side_by_side(len(starts) - 1, RUNS)
    return ScoreRanking(
        *arranged(ranked, starts, places),
        *arranged(ranked[hits], np.searchsorted(hits, starts), places),
        int(np.bincount(images).max(initial=0)),
    )


def average_precisions(
    rankings: Sequence[ScoreRanking], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the AP [B, rankings] in 0..1 with image weights [B, N]; NaN if no true pair has any.

    The definition is that of `average_precision`; for its digits see `WeightTables`.
    """
    longest = max((len(ranking.images) for ranking in rankings), default=0)
    tables = WeightTables(weights, max(REPLICATES, CELLS // max(1, longest)))
    found = np.full((len(weights), len(rankings)), np.nan)
    for column, ranking in enumerate(rankings):
        if len(ranking.hits):
            some = tables.of(tables.total * ranking.most)
            found[:, column] = np.concatenate([_of_table(ranking, table) for table in some])
    return found


def _of_table(ranking: ScoreRanking, table: Floats) -> NDArray[np.float64]:
    """The AP [B] for weights [N, B]."""
    count = len(ranking.starts) - 1
    size = min(RUNS * RUN, count)
    summed = np.zeros(table.shape[1])
    seen: Floats | float = 0.0
    found: Floats | float = 0.0
    for start in range(0, count, size):
        block = slice(start, start + size + 1)
        reached = sums(table, ranking.images, ranking.starts[block])
        gain = sums(table, ranking.hits, ranking.hit_starts[block])
        recalled = gain.copy()
        seen, found = accumulate(reached, seen), accumulate(recalled, found)
        # A threshold up to which nothing has weight has no gain either.
        np.maximum(reached, np.finfo(reached.dtype).tiny, out=reached)
        recalled /= reached
        recalled *= gain
        summed += recalled.sum(0).sum(0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(summed / found)
