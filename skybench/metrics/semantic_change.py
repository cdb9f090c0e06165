"""The semantic change score (SCS) of DynamicEarthNet, from confusion matrices per series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core import IGNORE, InvalidArray
from skybench.metrics._arrays import as_array
from skybench.metrics.change import mean_over_images, tiles_by_image
from skybench.metrics.segmentation import class_scores, confusion, mean_scores

CLASSES = 6  # of DynamicEarthNet, without snow and ice


class Counts(NamedTuple):
    """Confusion matrices by (true, predicted), of a series [K, K] or of weighted sums [B, K, K].

    `bare`: only pixels with a label in both months, as SitsSCD counts.
    """

    frames: NDArray[Any]  # classes, in all months
    changes: NDArray[Any]  # 0 or 1: whether the class differs from the month before
    moved: NDArray[Any]  # classes after a true change
    bare_changes: NDArray[Any]
    bare_moved: NDArray[Any]


def count_series(predicted: ArrayLike, true: ArrayLike, ignore: int, classes: int) -> Counts:
    """Count one series of class maps [T, H, W], T >= 2; raises InvalidArray for other shapes."""
    p, t = np.asarray(predicted), np.asarray(true)
    if p.shape != t.shape or t.ndim != 3 or len(t) < 2:
        raise InvalidArray(
            "Expected two series of class maps [T, H, W] with at least two months, but got "
            f"{p.shape} and {t.shape}."
        )
    predicted_change, changed = p[1:] != p[:-1], t[1:] != t[:-1]
    bare = (t[1:] != ignore) & (t[:-1] != ignore)
    both = changed & bare
    return Counts(
        confusion(p, t, classes, ignore),
        confusion(predicted_change, changed, 2),
        confusion(p[1:][changed], t[1:][changed], classes, ignore),
        confusion(predicted_change[bare], changed[bare], 2),
        confusion(p[1:][both], t[1:][both], classes, ignore),
    )


def official_scores(counts: Counts) -> dict[str, NDArray[np.float64]]:
    """Return SCS, BC, SC and mIoU in 0..1 by the rules of the official scorer."""
    bc = class_scores(counts.changes)["iou"][..., 1]
    sc = mean_scores(counts.moved)["miou_true"]
    return {"SCS": (bc + sc) / 2, "BC": bc, "SC": sc, "mIoU": mean_scores(counts.frames)["miou"]}


def semantic_change(
    predicted: ArrayLike, true: ArrayLike, ignore: int = IGNORE, classes: int = CLASSES
) -> dict[str, float]:
    """Return the semantic change score SCS, its parts BC and SC, and mIoU, in percent.

    predicted, true: class ids, integers [cubes, months, H, W], at least two months; `ignore`
    occurs in true only. Counts are summed over cubes. BC: IoU of the pixels whose class
    differs from the month before; a switch to or from `ignore` is a change, as in the official
    scorer. SC: IoU of the classes after a true change, mean over the classes that occur there in
    the truth. mIoU: over all months, mean over the classes in the truth or the prediction.
    Without any true change SC and SCS are NaN; without a predicted one too, BC is (officially 0).
    Raises InvalidArray, a ValueError, for other shapes, masked values, or ids outside
    0..classes-1.
    Source: arXiv 2203.12560; aysim/dynnet@1e7d902:codalab_eval.

    >>> true = [[[[0, 1]], [[1, 1]]]]
    >>> semantic_change([[[[1, 0]], [[1, 1]]]], true)
    {'SCS': 50.0, 'BC': 0.0, 'SC': 100.0, 'mIoU': 25.0}
    """
    p, t = as_array(predicted, "predicted"), as_array(true, "true")
    if p.shape != t.shape or t.ndim != 4 or not t.size:
        raise InvalidArray(
            f"Expected class maps [cubes, months, H, W], but got {p.shape} and {t.shape}."
        )
    each = [count_series(one, other, ignore, classes) for one, other in zip(p, t, strict=True)]
    pooled = Counts(*(np.sum(part, axis=0) for part in zip(*each, strict=True)))
    return {name: float(value * 100) for name, value in official_scores(pooled).items()}


class SemanticChange:
    """The scores of `semantic_change`, `SCS` first, and two variants of it.

    `SCS_masked`, of SitsSCD: pairs of months with an ignored pixel count neither in BC nor in SC,
    and SC is the mean over all classes, absent or not (ElliotVincent/SitsSCD@b95336a:
    metrics/scd_metrics.py). `SCS_cube`: the mean of the official score over cubes with a true
    change, tiles being grouped by key.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.counts: list[Counts] = []
        self.keys: list[str] = []

    def fresh(self) -> SemanticChange:
        return SemanticChange(self.classes)

    def perfect(self, target: Any) -> NDArray[Any]:
        """Return a prediction that scores 100 against a series [T, H, W] with ignored pixels (255).

        Ignored pixels get a class unlike those before and after: officially a switch to or from
        `ignore` is a change, which a constant class would miss. Needs three classes.
        """
        true = np.asarray(target)
        before, after = true.copy(), true.copy()
        for t in range(1, len(true)):
            before[t] = np.where(true[t] == IGNORE, before[t - 1], true[t])
            after[-t - 1] = np.where(true[-t - 1] == IGNORE, after[-t], true[-t - 1])
        free = np.stack([(before != c) & (after != c) for c in range(3)])
        return np.where(true == IGNORE, free.argmax(0), true)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count a cube or a tile of one: class ids [T, H, W]; 255 in target is ignored."""
        self.counts.append(count_series(prediction, target, IGNORE, len(self.classes)))
        self.keys.append(key)

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of samples."""
        stacked = Counts(*(np.stack(part) for part in zip(*self.counts, strict=True)))
        w = np.ones((1, len(self.counts))) if weights is None else weights
        pooled = Counts(*(np.tensordot(w, part, 1) for part in stacked))
        found = official_scores(pooled)
        bc = class_scores(pooled.bare_changes)["iou"][..., 1]
        found["SCS_masked"] = (bc + mean_scores(pooled.bare_moved)["miou_all"]) / 2
        cubes = tiles_by_image(self.keys)
        each = [
            official_scores(Counts(*(np.tensordot(w[:, i], part[i], 1) for part in stacked)))["SCS"]
            for i in cubes
        ]
        found["SCS_cube"] = mean_over_images(each, w, cubes)
        percent = {name: value * 100 for name, value in found.items()}
        return {k: float(v[0]) for k, v in percent.items()} if weights is None else percent

    def state(self) -> dict[str, NDArray[Any]]:
        parts = zip(Counts._fields, zip(*self.counts, strict=True), strict=True)
        counts = {name: np.stack(part) for name, part in parts}
        return {**counts, "tiles": np.array(self.keys, dtype=np.str_)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> SemanticChange:
        whole = self.fresh()
        each = zip(*(state[name] for name in Counts._fields), strict=True)
        whole.counts, whole.keys = [Counts(*one) for one in each], state["tiles"].tolist()
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return IoU over all months and after a true change, of every class, in percent."""
        total = Counts(*(np.sum(part, axis=0) for part in zip(*self.counts, strict=True)))
        frames, moved = class_scores(total.frames)["iou"], class_scores(total.moved)["iou"]
        return {
            name: {"iou": float(frames[i] * 100), "iou_changed": float(moved[i] * 100)}
            for i, name in enumerate(self.classes)
            if not np.isnan(frames[i])
        }

    def chance(self) -> float:
        """Return the SCS of one class everywhere: no change is found, so half of its SC."""
        true = np.sum([c.moved for c in self.counts], axis=0).sum(1)
        with np.errstate(invalid="ignore"):
            return float(50 * true.max() / true.sum() / np.count_nonzero(true))
