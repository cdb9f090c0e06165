"""Segmentation scores, from a confusion matrix per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core.errors import InvalidArray
from skybench.core.sample import IGNORE
from skybench.metrics._arrays import (
    CLASSES,
    Masked,
    as_masked,
    as_whole_number,
    count_classes,
    require_class_ids,
)
from skybench.metrics.pair_counts import PairCounts, count_pairs


def confusion(
    predicted: ArrayLike, true: ArrayLike, classes: int, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Return the confusion matrix by (true, predicted) class, int64 [classes, classes].

    predicted, true: class ids, integers of the same shape; `ignore` in true is left out, as are
    masked pixels.
    Raises InvalidArray, a ValueError, for unequal shapes or an id outside 0..classes-1.

    >>> confusion([0, 1, 1], [0, 1, 255], 2)
    array([[1, 0],
           [0, 1]])
    """
    classes = as_whole_number(classes, "classes", 1, CLASSES)
    said, truth = as_masked(predicted, "predicted"), as_masked(true, "true")
    return confusion_of(count_pairs(said, truth, ignore), classes, ignore)


def confusion_of(pairs: PairCounts, classes: int, ignore: int) -> NDArray[np.int64]:
    """Return the confusion matrix of counted pairs; raises InvalidArray as `confusion` does."""
    note = f" (or {ignore} to ignore, in true only)"
    require_class_ids(pairs.ids, classes, note)
    matrix = np.zeros((classes, classes), np.int64)
    matrix[np.ix_(pairs.true, pairs.predicted)] = pairs.counts
    return matrix


def class_scores(matrices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return IoU, F1, precision and recall of each class [..., K] and OA [...], in 0..1.

    matrices: confusion matrices [..., K, K] by (true, predicted) class. A class without a hit,
    missed or only predicted, has an IoU and an F1 of 0; a class neither in the truth nor predicted
    has NaN. (mmsegmentation's F1 = 2PR / (P + R) is NaN for a class without a hit.)
    """
    m = matrices.astype(np.float64)
    hit, true, predicted = np.einsum("...kk->...k", m), m.sum(-1), m.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "iou": hit / (true + predicted - hit),
            "f1": 2 * hit / (true + predicted),
            "precision": hit / predicted,
            "recall": hit / true,
            "oa": hit.sum(-1) / m.sum((-1, -2)),
        }


def nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis without NaN values; NaN if all are NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1) / known.sum(-1))


def mean_scores(matrices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return mean scores over classes of confusion matrices [..., K, K], each [...] in 0..1.

    They differ in the classes that count. `miou`, `mf1_present`: classes in the truth or the
    prediction, one without a hit with 0; `mf1`: classes with a hit, so that a class that is missed
    altogether does not lower it, as mmsegmentation's mFscore; `miou_true`: classes in the truth;
    `miou_all`: all classes, an absent one with 0. NaN without a class that counts.
    Source: open-mmlab/mmsegmentation@01c9623:mmseg/evaluation/metrics/iou_metric.py, nanmean of
    IoU (0 / 0 is NaN) and of 2PR / (P + R), which is 0 / 0 without a hit.
    """
    each = class_scores(matrices)
    iou, f1, occurs = each["iou"], each["f1"], matrices.sum(-1) > 0
    return {
        "miou": nan_mean(iou),
        "mf1": nan_mean(np.where(f1 > 0, f1, np.nan)),
        "mf1_present": nan_mean(f1),
        "oa": each["oa"],
        "miou_true": nan_mean(np.where(occurs, iou, np.nan)),
        "miou_all": np.where(occurs.any(-1), np.nan_to_num(iou).mean(-1), np.nan),
    }


def mean_iou(
    predicted: ArrayLike,
    true: ArrayLike,
    classes: int | None = None,
    ignore: int | None = None,
) -> dict[str, float]:
    """Return the mean IoU over the classes present, from one confusion matrix over all pixels.

    predicted, true: class ids, integers [N, H, W] (any equal shape); `ignore` in true is left
    out (None: 255), as are masked pixels; `classes` defaults to the largest id of a labelled
    pixel + 1. Returns miou, mf1, oa and, by other policies for classes that are absent or never
    hit, mf1_present, miou_true and miou_all: see `mean_scores`.
    Raises InvalidArray, a ValueError, for unequal shapes, no labelled pixel, ids that are no
    integers, out of range or a mark of unlabelled pixels, and for masks of 0 and 255 whose
    foreground would be ignored; for these, `ignore` must be given.
    Source: one matrix over the whole set, as mmsegmentation's IoUMetric; torchmetrics' MeanIoU
    averages per image and gives other values.

    >>> mean_iou([[0, 0, 1, 1]], [[0, 1, 1, 1]])["miou"]
    58.33333333333333
    """
    void = IGNORE if ignore is None else ignore
    said, truth = as_masked(predicted, "predicted"), as_masked(true, "true")
    pairs = count_pairs(said, truth, void)
    if not pairs.true.size:
        raise InvalidArray("Expected at least one pixel that is not ignored, but got none.")
    if ignore is None and classes in (None, 2):
        require_foreground(pairs.true, truth)
    found = mean_scores(confusion_of(pairs, count_classes(pairs.ids, classes), void))
    return {name: float(value * 100) for name, value in found.items()}


def require_foreground(labelled: NDArray[Any], truth: Masked) -> None:
    """Raise InvalidArray if a truth has no value but 0 and 255, which may be its foreground.

    labelled: the ids in truth that are not ignored.
    """
    if not labelled.any() and (truth.values == IGNORE).any():
        raise InvalidArray(
            f"Expected class ids in true, but got only 0 and {IGNORE}, which is ignored: divide "
            f"0/{IGNORE} masks by {IGNORE}, or give ignore={IGNORE} if it means no label."
        )


def mean_f1(
    predicted: ArrayLike,
    true: ArrayLike,
    classes: int | None = None,
    ignore: int | None = None,
) -> dict[str, float]:
    """Return the scores of `mean_iou`, mean F1 first: F1 = 2PR / (P + R) for each class.

    `mf1` leaves out a class without a hit, whose P + R is 0 or undefined, as mmsegmentation does;
    in `mf1_present` it counts with 0, unless it is neither in the truth nor predicted.
    Source: the ISPRS Potsdam protocol of RVSA (5 classes, clutter ignored).

    >>> round(mean_f1([[0, 0, 1, 1]], [[0, 1, 1, 1]])["mf1"], 4)
    73.3333
    """
    scores = mean_iou(predicted, true, classes, ignore)
    return {"mf1": scores["mf1"]} | scores


class Segmentation:
    """The scores of `mean_scores`; `main` comes first.

    With `background`, class 0 is a background class, and `miou_objects` is the mean IoU without
    it. Pixels with the value `ignore` in the target have no label.
    """

    def __init__(
        self, classes: tuple[str, ...], main: str, background: bool = False, ignore: int = IGNORE
    ) -> None:
        self.classes, self.main, self.background = classes, main, background
        self.ignore = ignore
        self.matrices: list[NDArray[np.int64]] = []

    def fresh(self) -> Segmentation:
        return Segmentation(self.classes, self.main, self.background, self.ignore)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count one image: class ids [H, W] or [T, H, W]; `ignore` in target is left out."""
        self.matrices.append(confusion(prediction, target, len(self.classes), self.ignore))

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of images."""
        count = len(self.classes)
        stacked = np.stack(self.matrices)
        if weights is None:
            total = stacked.sum(0)[None]
        else:
            total = (weights @ stacked.reshape(len(stacked), -1)).reshape(-1, count, count)
        found = mean_scores(total)
        if self.background:
            found["miou_objects"] = nan_mean(class_scores(total)["iou"][..., 1:])
        ordered = {self.main: found[self.main] * 100} | {k: v * 100 for k, v in found.items()}
        return {k: float(v[0]) for k, v in ordered.items()} if weights is None else ordered

    def state(self) -> dict[str, NDArray[Any]]:
        return {"matrices": np.stack(self.matrices)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Segmentation:
        whole = self.fresh()
        whole.matrices = list(state["matrices"])
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return IoU, F1, precision and recall of every class that occurs, in percent.

        Without a hit IoU and F1 are 0; precision is NaN of a class that is never predicted, recall
        of one that is never true.
        """
        each = class_scores(np.stack(self.matrices).sum(0))
        return {
            name: {k: float(each[k][i] * 100) for k in ("iou", "f1", "precision", "recall")}
            for i, name in enumerate(self.classes)
            if not np.isnan(each["iou"][i])
        }

    def chance(self) -> float:
        """Return the main score of predicting the most frequent class everywhere.

        `mf1` would be that of this class alone: its mean is over as many classes as were hit here.
        """
        total = np.stack(self.matrices).sum(0)
        true, hit = total.sum(1), int(np.count_nonzero(np.diag(total)))
        constant = Segmentation(self.classes, self.main)
        matrix = np.zeros((len(true), len(true)), np.int64)
        matrix[:, true.argmax()] = true
        constant.matrices.append(matrix)
        found = float(constant.scores()[self.main])
        return found / max(1, hit) if self.main == "mf1" else found

    def notes(self) -> tuple[str, ...]:
        """Return a sentence on classes without a hit, where the main score, `mf1`, omits them."""
        hit = np.diag(np.stack(self.matrices).sum(0)) > 0
        never = [name for name, known in zip(self.classes, hit, strict=True) if not known]
        if self.main != "mf1" or not never:
            return ()
        return (
            f"mf1 is the mean over {hit.sum()} of {len(hit)} classes, as mmsegmentation has it: "
            f"no pixel of {', '.join(never)} is right; mf1_present counts 0 for each that occurs",
        )
