"""Overall accuracy of single-label classification."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core import UsageError


def overall_accuracy(predicted: ArrayLike, true: ArrayLike) -> dict[str, float]:
    """The share of images whose class is right (top-1), and the mean of the per-class shares.

    predicted, true: class ids, integers [N].
    Raises UsageError for unequal lengths or no image.
    Source: AID and RESISC45 report OA (Xia et al. 2017; Cheng et al. 2017).

    >>> overall_accuracy([0, 0, 1, 1, 1], [0, 0, 0, 0, 1])
    {'oa': 60.0, 'aa': 75.0}
    """
    metric = Accuracy()
    p, t = np.asarray(predicted), np.asarray(true)
    if p.shape != t.shape or p.ndim != 1 or not p.size:
        raise UsageError(
            f"Expected two lists of class ids of the same length, but got {p.shape} and {t.shape}."
        )
    for one, other in zip(p.tolist(), t.tolist(), strict=True):
        metric.update(one, other)
    return {name: float(value) for name, value in metric.scores().items()}


class Accuracy:
    """Overall accuracy (`oa`) and average accuracy over classes (`aa`), per image."""

    def __init__(self, classes: tuple[str, ...] = ()) -> None:
        self.classes = classes
        self.predicted: list[int] = []
        self.true: list[int] = []

    def fresh(self) -> Accuracy:
        return Accuracy(self.classes)

    def update(self, prediction: Any, target: Any) -> None:
        """Counts one image; both are class ids."""
        self.predicted.append(int(prediction))
        self.true.append(int(target))

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """In percent: floats, or arrays [B] for weights [B, N] (how often each image counts)."""
        true = np.asarray(self.true)
        right = (np.asarray(self.predicted) == true).astype(np.float64)
        w = np.ones((1, len(true))) if weights is None else weights
        member = (true[:, None] == np.unique(true)).astype(np.float64)  # [N, classes present]
        with np.errstate(invalid="ignore"):
            share = (w * right) @ member / (w @ member)  # [B, classes], NaN where none was drawn
        found = {"oa": w @ right / w.sum(1) * 100, "aa": np.nanmean(share, axis=1) * 100}
        return {k: float(v[0]) for k, v in found.items()} if weights is None else found

    def per_class(self) -> dict[str, dict[str, float]]:
        """Recall of every class of the test set, in percent."""
        true, predicted = np.asarray(self.true), np.asarray(self.predicted)
        return {
            self.classes[c]: {"recall": float((predicted[true == c] == c).mean() * 100)}
            for c in np.unique(true)
        }

    def chance(self) -> float:
        """The share of the most frequent class: always answering it gives this `oa`."""
        return float(np.bincount(self.true).max() / len(self.true) * 100)
