"""Segmentation scores from one confusion matrix per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core import UsageError
from skybench.core.sample import IGNORE


def confusion(
    predicted: ArrayLike, true: ArrayLike, classes: int, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Pixels by (true, predicted) class: int64 [classes, classes]; `ignore` in true is left out.

    predicted, true: class ids, integers of the same shape.
    Raises UsageError for unequal shapes or an id outside 0..classes-1.

    >>> confusion([0, 1, 1], [0, 1, 255], 2)
    array([[1, 0],
           [0, 1]])
    """
    p, t = np.asarray(predicted), np.asarray(true)
    if p.shape != t.shape:
        raise UsageError(f"Expected maps of one shape, but got {p.shape} and {t.shape}.")
    if p.dtype.kind not in "iub" or t.dtype.kind not in "iub":
        raise UsageError(f"Expected integer class ids, but got {p.dtype} and {t.dtype}.")
    seen = t != ignore
    p, t = p[seen].astype(np.int64), t[seen].astype(np.int64)
    for name, ids in (("predicted", p), ("true", t)):
        if ids.size and not 0 <= ids.min() <= ids.max() < classes:
            raise UsageError(
                f"Expected {name} class ids in 0..{classes - 1} (or {ignore} to ignore, in true "
                f"only), but got {ids.min()}..{ids.max()}."
            )
    return np.bincount(t * classes + p, minlength=classes * classes).reshape(classes, classes)


def shares(matrices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """IoU, F1, precision and recall of each class [..., K] and OA [...], in 0..1, NaN where absent.

    matrices: pixels by (true, predicted) class [..., K, K]. A class that is only predicted has
    an IoU and an F1 of 0; one that is neither in the truth nor predicted is absent.
    """
    m = matrices.astype(np.float64)
    hit, true, said = np.einsum("...kk->...k", m), m.sum(-1), m.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "iou": hit / (true + said - hit),
            "f1": 2 * hit / (true + said),
            "precision": hit / said,
            "recall": hit / true,
            "oa": hit.sum(-1) / m.sum((-1, -2)),
        }


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last axis without NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def means(matrices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """The means over classes of matrices [..., K, K], each [...] in 0..1; NaN without a pixel.

    They differ in the classes that count. `miou`, `mf1`: those in the truth or the prediction, as
    mmsegmentation's nanmean; `miou_true`: those in the truth; `miou_all`: every one, an absent
    class with 0.
    """
    each = shares(matrices)
    iou, occurs = each["iou"], matrices.sum(-1) > 0
    return {
        "miou": mean(iou),
        "mf1": mean(each["f1"]),
        "oa": each["oa"],
        "miou_true": mean(np.where(occurs, iou, np.nan)),
        "miou_all": np.where(occurs.any(-1), np.nan_to_num(iou).mean(-1), np.nan),
    }


def mean_iou(
    predicted: ArrayLike, true: ArrayLike, classes: int | None = None, ignore: int = IGNORE
) -> dict[str, float]:
    """Mean intersection over union over the classes present, from one matrix over all pixels.

    predicted, true: class ids, integers [N, H, W] (any equal shape); `ignore` in true is left
    out; `classes` defaults to the largest id + 1. Returns miou, mf1, oa and, by other policies
    for absent classes, miou_true (mean over the classes of the truth) and miou_all (over all
    `classes`, an absent one with 0).
    Source: one matrix over the whole set, as mmsegmentation's IoUMetric; torchmetrics' MeanIoU
    averages per image and gives other numbers.

    >>> mean_iou([[0, 0, 1, 1]], [[0, 1, 1, 1]])["miou"]
    58.33333333333333
    """
    p, t = np.asarray(predicted), np.asarray(true)
    known = t[t != ignore]
    if not known.size:
        raise UsageError("Expected at least one pixel that is not ignored, but got none.")
    count = classes or int(max(known.max(), p[p != ignore].max(initial=0))) + 1
    found = means(confusion(p, t, count, ignore))
    return {name: float(value * 100) for name, value in found.items()}


def mean_f1(
    predicted: ArrayLike, true: ArrayLike, classes: int | None = None, ignore: int = IGNORE
) -> dict[str, float]:
    """The same scores as `mean_iou`, mean F1 first: F1 = 2PR / (P + R) for each class.

    Source: the ISPRS Potsdam protocol of RVSA (5 classes, clutter ignored).

    >>> round(mean_f1([[0, 0, 1, 1]], [[0, 1, 1, 1]])["mf1"], 4)
    73.3333
    """
    scores = mean_iou(predicted, true, classes, ignore)
    return {"mf1": scores["mf1"]} | scores


class Segmentation:
    """The scores of `means`; `main` comes first.

    With `background` true, class 0 is a background class, and the mean IoU without it is given
    as `miou_objects` beside the mean over all.
    """

    def __init__(self, classes: tuple[str, ...], main: str, background: bool = False) -> None:
        self.classes, self.main, self.background = classes, main, background
        self.matrices: list[NDArray[np.int64]] = []

    def fresh(self) -> Segmentation:
        return Segmentation(self.classes, self.main, self.background)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Counts one image: class ids [H, W] or [T, H, W]; 255 in target is left out."""
        self.matrices.append(confusion(prediction, target, len(self.classes)))

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """In percent: floats, or arrays [B] for weights [B, N] (how often each image counts)."""
        count = len(self.classes)
        stacked = np.stack(self.matrices)
        if weights is None:
            total = stacked.sum(0)[None]
        else:
            total = (weights @ stacked.reshape(len(stacked), -1)).reshape(-1, count, count)
        found = means(total)
        if self.background:
            found["miou_objects"] = mean(shares(total)["iou"][..., 1:])
        ordered = {self.main: found[self.main] * 100} | {k: v * 100 for k, v in found.items()}
        return {k: float(v[0]) for k, v in ordered.items()} if weights is None else ordered

    def state(self) -> dict[str, NDArray[Any]]:
        return {"matrices": np.stack(self.matrices)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Segmentation:
        whole = self.fresh()
        whole.matrices = list(state["matrices"])
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """IoU, F1, precision and recall of every class that occurs, in percent."""
        each = shares(np.stack(self.matrices).sum(0))
        return {
            name: {k: float(each[k][i] * 100) for k in ("iou", "f1", "precision", "recall")}
            for i, name in enumerate(self.classes)
            if not np.isnan(each["iou"][i])
        }

    def chance(self) -> float:
        """The main score when every pixel is given the most frequent class."""
        true = np.stack(self.matrices).sum((0, 2))
        constant = Segmentation(self.classes, self.main)
        matrix = np.zeros((len(true), len(true)), np.int64)
        matrix[:, true.argmax()] = true
        constant.matrices.append(matrix)
        return float(constant.scores()[self.main])
