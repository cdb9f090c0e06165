"""Overall accuracy of single-label classification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import (
    as_class_ids,
    as_masked,
    count_classes,
    require_class_ids,
    unmasked_rows,
)

MOST = 2**31  # classes; ids may be codes of a nomenclature
TOP = 5  # fMoW-Sentinel is also scored by top-5 accuracy


def overall_accuracy(
    predicted: ArrayLike, true: ArrayLike, classes: int | None = None
) -> dict[str, float]:
    """Return overall accuracy (top-1) and average accuracy, the mean recall over classes.

    predicted: class ids, integers [N], or scores [N, K], whose class is the argmax; true: class
    ids, integers [N]. Scores of more than 5 classes give `top5` too. Masked images are left out.
    classes: their number, where ids 255 or 65535 are classes and not marks of unlabelled images.
    Raises InvalidArray, a ValueError, for unequal lengths, no image, NaN scores, a single column
    of scores, and ids that are no integers, negative, or marks of unlabelled images.
    Source: AID and RESISC45 report OA (Xia et al. 2017; Cheng et al. 2017), fMoW-Sentinel top-1
    and top-5 (SatMAE, arXiv 2207.08051).

    >>> overall_accuracy([0, 0, 1, 1, 1], [0, 0, 0, 0, 1])
    {'oa': 60.0, 'aa': 75.0}
    >>> overall_accuracy([[5, 9, 6, 4, 2, 1], [0, 6, 5, 4, 3, 2]], [0, 0])
    {'oa': 0.0, 'aa': 0.0, 'top5': 50.0}
    """
    metric = Accuracy()
    said, truth = as_masked(predicted, "predicted"), as_class_ids(true, "true")
    p, t = said.values, truth.values
    if t.ndim != 1 or not t.size or p.ndim not in (1, 2) or len(p) != len(t):
        raise InvalidArray(
            "Expected two lists of class ids of the same length, or scores [N, K] and N class "
            f"ids, but got {p.shape} and {t.shape}."
        )
    kept = unmasked_rows(said, truth)
    p, t = p[kept], t[kept]
    if p.ndim == 1:
        ids = {"predicted": as_class_ids(p, "predicted").values, "true": t}
        require_class_ids(ids, count_classes(ids, classes, MOST))
    elif p.shape[1] < 2:
        raise InvalidArray(
            f"Expected class ids [N] or scores of two or more classes [N, K], but got one column "
            f"{p.shape}: a column of ids is no score; give ids as [N]."
        )
    for one, other in zip(p, t, strict=True):
        metric.update(one, other)
    return {name: float(value) for name, value in metric.scores().items()}


class Accuracy:
    """Overall accuracy (`oa`), mean recall over classes (`aa`) and top-5 accuracy (`top5`).

    `top5` exists if all predictions are scores of more than 5 classes. Equal scores rank by class
    id, so that the first is the argmax.
    """

    def __init__(self, classes: tuple[str, ...] = ()) -> None:
        self.classes = classes
        self.predicted: list[int] = []
        self.true: list[int] = []
        self.among: list[bool] = []  # whether the true class is among the top 5

    def fresh(self) -> Accuracy:
        return Accuracy(self.classes)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count one image; prediction: a class id or scores [K]; target: a class id."""
        said, true = np.asarray(prediction), np.asarray(target)
        if said.ndim:
            _require_scores(said, true)
            own = int(true)
            higher = (said > said[own]).sum() + (said[:own] == said[own]).sum()
            if len(said) > TOP:
                self.among.append(bool(higher < TOP))
            said = np.asarray(said.argmax())
        for ids in (said, true):
            if ids.dtype.kind not in "iub":
                raise InvalidArray(f"Expected an integer class id, but got {ids} ({ids.dtype}).")
        if self.classes:
            require_class_ids({"predicted": said, "true": true}, len(self.classes))
        self.predicted.append(int(said))
        self.true.append(int(true))

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of images."""
        true = np.asarray(self.true)
        right = np.asarray(self.predicted) == true
        w = np.ones((1, len(true))) if weights is None else weights
        present, ids = np.unique(true, return_inverse=True)
        each = _sums_by_class(w, 2 * ids + right, 2 * len(present)).reshape(len(w), -1, 2)
        hits = each[..., 1]
        with np.errstate(invalid="ignore"):
            share = hits / each.sum(2)  # NaN where none was drawn
        drawn = w.sum(1)
        found = {"oa": hits.sum(1) / drawn * 100, "aa": np.nanmean(share, axis=1) * 100}
        if len(self.among) == len(true):
            found["top5"] = w @ np.asarray(self.among, np.float64) / drawn * 100
        return {k: float(v[0]) for k, v in found.items()} if weights is None else found

    def main_score(self, weights: NDArray[np.float64] | None = None) -> Any:
        """Return `oa` of `scores` alone: a float, or an array [B] for weights [B, N]."""
        right = np.equal(self.predicted, self.true).astype(np.float64)
        w = np.ones((1, len(right))) if weights is None else weights
        found = w @ right / w.sum(1) * 100
        return float(found[0]) if weights is None else found

    def shares(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores that are shares of the images: which of them are hits, 0 or 1 [N]."""
        right = np.equal(self.predicted, self.true).astype(np.float64)
        among = {"top5": np.asarray(self.among, np.float64)}
        return {"oa": right} | (among if len(self.among) == len(self.true) else {})

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            "predicted": np.asarray(self.predicted, np.int64),
            "true": np.asarray(self.true, np.int64),
            "among": np.asarray(self.among, bool),
        }

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Accuracy:
        whole = self.fresh()
        whole.predicted, whole.true = state["predicted"].tolist(), state["true"].tolist()
        whole.among = state["among"].tolist()
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the recall of every class of the test set, in percent."""
        true, predicted = np.asarray(self.true), np.asarray(self.predicted)
        return {
            self.classes[c]: {"recall": float((predicted[true == c] == c).mean() * 100)}
            for c in np.unique(true)
        }

    def chance(self) -> float:
        """Return the share of the most frequent class, the best constant prediction."""
        return float(np.unique(self.true, return_counts=True)[1].max() / len(self.true) * 100)


def _sums_by_class(
    weights: NDArray[np.float64], ids: NDArray[np.intp], classes: int
) -> NDArray[np.float64]:
    """The weights [B, N] summed over the images of each class, [B, classes].

    Sorted by class first: a product with the classes' indicators costs more the more there are.
    """
    found = np.zeros((len(weights), classes))
    if len(ids):
        order = np.argsort(ids, kind="stable")
        present, starts = np.unique(ids[order], return_index=True)
        found[:, present] = np.add.reduceat(weights.take(order, 1), starts, axis=1)
    return found


def _require_scores(said: NDArray[Any], true: NDArray[Any]) -> None:
    """Raise InvalidArray if a prediction is not a vector of scores that ranks the true class."""
    if said.ndim != 1 or true.ndim or true.dtype.kind not in "iub" or not 0 <= true < len(said):
        raise InvalidArray(
            "Expected a class id or scores [K], and a true class id below K, but got a prediction "
            f"of shape {said.shape} and {true}; leave unlabelled images out."
        )
    if np.isnan(said).any():
        raise InvalidArray(f"Expected scores that can be ranked, but got {said}.")
