"""Mean average precision of multi-label classification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import as_masked, as_whole_number, unmasked_rows
from skybench.metrics.score_ranking import (
    ScoreRanking,
    average_precision,
    average_precisions,
    rank_scores,
)


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


def micro_average_precision(scores: NDArray[Any], true: NDArray[Any]) -> float:
    """Return `map_micro` of `mean_average_precision` alone, in percent; NaN if nothing is true.

    scores: [N, K], without NaN; true: [N, K], 0 or 1; neither is validated.

    >>> micro_average_precision(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([[1, 0], [1, 1]]))
    100.0
    """
    return average_precision(np.ravel(scores), np.ravel(true).astype(bool)) * 100


class MultiLabel:
    """Micro and macro average precision; `map_micro_batched` has no bootstrap replicates."""

    def __init__(self, classes: tuple[str, ...], batch: int = 256) -> None:
        self.classes, self.batch = classes, batch
        self.predicted: list[NDArray[Any]] = []
        self.true: list[NDArray[Any]] = []
        # Of all pairs, then of each class, and the stacked arrays; () and None when stale.
        self.rankings: tuple[ScoreRanking, ...] = ()
        self.stacked: tuple[NDArray[np.float64], NDArray[np.bool_]] | None = None

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
        self.rankings, self.stacked = (), None

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of images."""
        if weights is None:
            s, t = self._stacked()
            macro = _mean_known([average_precision(*one) for one in zip(s.T, t.T, strict=True)])
            known = {"map_micro": self.main_score(), "map_macro": macro * 100}
            return known | ({"map_micro_batched": self._batched() * 100} if self.batch else {})
        each = average_precisions(self._ranked(), weights)
        present = ~np.isnan(each[:, 1:])
        with np.errstate(invalid="ignore"):
            of_classes = np.where(present, each[:, 1:], 0).sum(1) / present.sum(1)
        return {"map_micro": each[:, 0] * 100, "map_macro": of_classes * 100}

    def main_score(self, weights: NDArray[np.float64] | None = None) -> Any:
        """Return `map_micro` of `scores` alone: a float, or an array [B] for weights [B, N]."""
        if weights is None:
            return micro_average_precision(*self._stacked())
        return average_precisions(self._ranked()[:1], weights)[:, 0] * 100

    def state(self) -> dict[str, NDArray[Any]]:
        return dict(zip(("predicted", "true"), self._stacked(), strict=True))

    def restored(self, state: Mapping[str, NDArray[Any]]) -> MultiLabel:
        whole = self.fresh()
        whole.predicted, whole.true = list(state["predicted"]), list(state["true"])
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the AP of every class that occurs, in percent."""
        each = (
            average_precision(*one) for one in zip(*(x.T for x in self._stacked()), strict=True)
        )
        named = zip(self.classes, each, strict=True)
        return {name: {"ap": ap * 100} for name, ap in named if not np.isnan(ap)}

    def chance(self) -> float:
        """Return the micro AP of the best constant prediction, one score vector for all images.

        It ranks the classes by frequency; no other order, and no tie, has a higher AP.
        """
        counts = np.sort(self._stacked()[1].sum(0))[::-1]
        precision = np.cumsum(counts) / (len(self.true) * np.arange(1, len(counts) + 1))
        return float(counts @ precision / counts.sum() * 100)

    def _stacked(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        if self.stacked is None:
            self.stacked = np.stack(self.predicted), np.stack(self.true)
        return self.stacked

    def _ranked(self) -> tuple[ScoreRanking, ...]:
        if not self.rankings:
            s, t = self._stacked()
            images = np.arange(len(s))
            pairs = rank_scores(s.ravel(), t.ravel(), np.repeat(images, s.shape[1]))
            each = (rank_scores(one, other, images) for one, other in zip(s.T, t.T, strict=True))
            self.rankings = (pairs, *each)
        return self.rankings

    def _batched(self) -> float:
        """The mean of the micro AP over consecutive batches, in 0..1."""
        size = min(self.batch, len(self.true))
        (s, t), starts = self._stacked(), range(0, len(self.true) - size + 1, size)
        each = [average_precision(s[i : i + size].ravel(), t[i : i + size].ravel()) for i in starts]
        return _mean_known(each)


def _mean_known(values: list[float]) -> float:
    """The mean of the values that are not NaN; NaN without any."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
