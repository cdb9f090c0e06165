"""Mean average precision of multi-label classification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import as_masked, as_whole_number, unmasked_rows

CELLS = 1_000_000  # elements of weights times scores in memory at once


class ScoreRanking(NamedTuple):
    """Scores in descending order: sorted once, then evaluated for any weights of the images."""

    images: NDArray[np.intp]  # the image of each score, the highest first
    hits: NDArray[np.intp]  # the ranks of true pairs
    ends: NDArray[np.intp]  # for each hit, the last rank with an equal score
    last: NDArray[np.intp]  # for each hit, the index of the last hit up to that rank


def rank_scores(scores: NDArray[Any], true: NDArray[Any], images: NDArray[Any]) -> ScoreRanking:
    """Rank scores [M], given their truth and the image of each."""
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    hits = np.flatnonzero(true[order])
    lower = descending[1:] != descending[:-1]  # no difference: that of infinities is NaN
    steps = np.append(np.flatnonzero(lower), len(order) - 1)  # thresholds end here
    ends = steps[np.searchsorted(steps, hits)]
    return ScoreRanking(images[order], hits, ends, np.searchsorted(hits, ends, "right") - 1)


def weighted_average_precision(ranking: ScoreRanking, weights: NDArray[np.float64]) -> float:
    """Return the AP in 0..1 with image weights [N]; NaN if no true pair has weight.

    The sum over distinct thresholds of the increase in recall times the precision, without
    interpolation (as scikit-learn's average_precision_score).
    """
    return float(_average_precisions(ranking, weights[None])[0])


def _average_precisions(ranking: ScoreRanking, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The AP [B] for weights [B, N]."""
    if not len(ranking.hits):
        return np.full(len(weights), np.nan)
    rows = max(1, CELLS // len(ranking.images))
    parts = []
    for start in range(0, len(weights), rows):
        w = weights[start : start + rows][:, ranking.images]
        seen = np.cumsum(w, 1)[:, ranking.ends]
        gain = w[:, ranking.hits]
        recalled = np.cumsum(gain, 1)
        # A threshold up to which nothing has weight has no gain either.
        precision = recalled[:, ranking.last] / np.where(seen > 0, seen, 1)
        sums = np.array([one @ other for one, other in zip(gain, precision, strict=True)])
        with np.errstate(invalid="ignore"):
            parts.append(sums / recalled[:, -1])
    return np.concatenate(parts)


def mean_average_precision(scores: ArrayLike, true: ArrayLike, batch: int = 0) -> dict[str, float]:
    """Return micro average precision, over all (image, class) pairs, and macro, over classes.

    scores: float [N, K], of which only the order matters; true: 0 or 1 [N, K].
    Returns, in percent, `map_micro` and `map_macro` (over the classes that occur), and with
    `batch` > 0 `map_micro_batched`: the micro AP of each `batch` consecutive images, averaged; a
    last, smaller batch is left out unless it is the only one, as is one without a true class.
    Masked images are left out.
    Raises InvalidArray, a ValueError, for unequal shapes, no image, NaN scores or a truth other
    than 0 and 1.
    Source: BigEarthNet's mAP is micro in the lineage of SeCo, there per batch of 256, the last
    dropped: ServiceNow/seasonal-contrast@411e37e:models/ssl_finetuner.py:shared_step
    and datasets/bigearthnet_datamodule.py.

    >>> mean_average_precision([[0.9, 0.1], [0.4, 0.6]], [[1, 0], [1, 1]])
    {'map_micro': 100.0, 'map_macro': 100.0}
    """
    batch = as_whole_number(batch, "batch", 0)
    said, truth = as_masked(scores, "scores"), as_masked(true, "true")
    s, t = said.values, truth.values
    if s.shape != t.shape or s.ndim != 2 or not s.size:
        raise InvalidArray(
            f"Expected scores and truth of one shape [N, K], but got {s.shape} and {t.shape}."
        )
    metric = MultiLabel(tuple(map(str, range(s.shape[1]))), batch)
    kept = unmasked_rows(said, truth)
    for one, other in zip(s[kept], t[kept], strict=True):
        metric.update(one, other)
    return metric.scores()


class MultiLabel:
    """Micro and macro average precision; `map_micro_batched` has no bootstrap replicates."""

    def __init__(self, classes: tuple[str, ...], batch: int = 256) -> None:
        self.classes, self.batch = classes, batch
        self.predicted: list[NDArray[Any]] = []
        self.true: list[NDArray[Any]] = []
        self.rankings: tuple[
            ScoreRanking, ...
        ] = ()  # of all pairs, then of each class; () when stale

    def fresh(self) -> MultiLabel:
        return MultiLabel(self.classes, self.batch)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count one image: scores [K] and its classes [K], 0 or 1."""
        said, true = np.asarray(prediction), np.asarray(target)
        if said.shape != (len(self.classes),) or true.shape != said.shape:
            raise InvalidArray(
                f"Expected scores and classes [{len(self.classes)}] of an image, but got "
                f"{said.shape} and {true.shape}."
            )
        wrong = true[(true != 0) & (true != 1)]
        if np.isnan(said).any() or len(wrong):
            raise InvalidArray(
                "Expected scores that can be ranked, and classes of 0 and 1, but got "
                + (f"{wrong[0]} for a class." if len(wrong) else f"the scores {said}.")
            )
        self.predicted.append(said.astype(np.float64))
        self.true.append(true.astype(bool))
        self.rankings = ()

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of images."""
        w = np.ones((1, len(self.true))) if weights is None else weights
        each = np.stack([_average_precisions(ranking, w) for ranking in self._ranked()], axis=1)
        present = ~np.isnan(each[:, 1:])
        with np.errstate(invalid="ignore"):
            macro = np.where(present, each[:, 1:], 0).sum(1) / present.sum(1)
        found = {"map_micro": each[:, 0] * 100, "map_macro": macro * 100}
        if weights is not None:
            return found
        known = {name: float(values[0]) for name, values in found.items()}
        return known | ({"map_micro_batched": self._batched()} if self.batch else {})

    def state(self) -> dict[str, NDArray[Any]]:
        return {"predicted": np.stack(self.predicted), "true": np.stack(self.true)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> MultiLabel:
        whole = self.fresh()
        whole.predicted, whole.true = list(state["predicted"]), list(state["true"])
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the AP of every class that occurs, in percent."""
        each = [weighted_average_precision(r, np.ones(len(self.true))) for r in self._ranked()[1:]]
        named = zip(self.classes, each, strict=True)
        return {name: {"ap": ap * 100} for name, ap in named if not np.isnan(ap)}

    def chance(self) -> float:
        """Return the micro AP of the best constant prediction, one score vector for all images.

        It ranks the classes by frequency; no other order, and no tie, has a higher AP.
        """
        counts = np.sort(np.stack(self.true).sum(0))[::-1]
        precision = np.cumsum(counts) / (len(self.true) * np.arange(1, len(counts) + 1))
        return float(counts @ precision / counts.sum() * 100)

    def _ranked(self) -> tuple[ScoreRanking, ...]:
        if not self.rankings:
            s, t = np.stack(self.predicted), np.stack(self.true)
            images = np.arange(len(s))
            pairs = rank_scores(s.ravel(), t.ravel(), np.repeat(images, s.shape[1]))
            each = (rank_scores(one, other, images) for one, other in zip(s.T, t.T, strict=True))
            self.rankings = (pairs, *each)
        return self.rankings

    def _batched(self) -> float:
        """The mean of the micro AP over consecutive batches, in percent."""
        size = min(self.batch, len(self.true))
        each = []
        for start in range(0, len(self.true) - size + 1, size):
            part = slice(start, start + size)
            s, t = np.stack(self.predicted[part]), np.stack(self.true[part])
            ranking = rank_scores(s.ravel(), t.ravel(), np.repeat(np.arange(size), s.shape[1]))
            each.append(weighted_average_precision(ranking, np.ones(size)))
        known = [ap for ap in each if not np.isnan(ap)]
        return float(np.mean(known) * 100) if known else float("nan")
