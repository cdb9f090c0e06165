"""F1 of the change class of bi-temporal change detection, from one confusion matrix per tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.core import IGNORE, InvalidArray, UsageError
from skybench.metrics._arrays import as_masked
from skybench.metrics.pair_counts import count_pairs
from skybench.metrics.segmentation import (
    Segmentation,
    class_scores,
    confusion_of,
    require_foreground,
)

GROUP = 32  # tiles in a batch of SeCo's evaluation


def image_of(key: str) -> str:
    """Return the image of a tile with the key `<image>_<y>_<x>`.

    >>> image_of("las_vegas_96_0")
    'las_vegas'
    """
    return key.rsplit("_", 2)[0]


def tiles_by_image(keys: Sequence[str]) -> list[NDArray[np.intp]]:
    """Return the indices of each image's tiles, given the keys of all tiles."""
    if not keys:
        return []
    _, images = np.unique([image_of(key) for key in keys], return_inverse=True)
    order = np.argsort(images, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(images[order])) + 1)


def mean_over_images(
    each: Sequence[NDArray[np.float64]],
    weights: NDArray[np.float64],
    images: Sequence[NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Return the mean [B] of the images' scores, [B] each; an image counts as often as its tiles.

    weights: of the tiles [B, N]; images: the indices of each image's tiles. Undefined scores (NaN)
    do not count.
    """
    values = np.stack(each, axis=-1)
    drawn = np.stack([weights[:, tiles].mean(1) for tiles in images], axis=-1)
    with np.errstate(invalid="ignore"):
        total = (drawn * np.nan_to_num(values)).sum(-1)
        return np.asarray(total / (drawn * ~np.isnan(values)).sum(-1))


def change_f1(predicted: ArrayLike, true: ArrayLike, ignore: int | None = None) -> dict[str, float]:
    """Return F1, precision, recall and IoU of the change class, and OA, in percent.

    predicted, true: 1 for change and 0 for none, integers [N, H, W] (any equal shape); `ignore`
    in true is left out (None: 255), as are masked pixels. NaN where a score is undefined:
    precision without a predicted change, recall without a true one, F1 and IoU without either.
    Raises InvalidArray, a ValueError, for unequal shapes, no labelled pixel, values other than 0
    and 1, and a truth of 0 and 255 only unless `ignore` is given: it may be a mask of 0 and 255.
    Source: LEVIR-CD counts over the whole test set (STANet, Remote Sensing 2020, 12(10), 1662).

    >>> change_f1([[0, 1, 1, 0]], [[0, 0, 1, 1]])
    {'f1': 50.0, 'precision': 50.0, 'recall': 50.0, 'iou': 33.33333333333333, 'oa': 50.0}
    """
    void = IGNORE if ignore is None else ignore
    said, truth = as_masked(predicted, "predicted"), as_masked(true, "true")
    pairs = count_pairs(said, truth, void)
    if ignore is None:
        require_foreground(pairs.true, truth)
    if not pairs.true.size:
        raise InvalidArray("Expected at least one pixel that is not ignored, but got none.")
    found = _of_change(confusion_of(pairs, 2, void))
    return {name: float(value * 100) for name, value in found.items()}


class Change:
    """The scores of `change_f1`, `f1` first, and three other means that papers call F1.

    `f1_batch`: SeCo's evaluation on OSCD, the mean F1 of groups of 32 tiles. A group without any
    true change or without any predicted one counts 0, also without both (0/0 is set to 0). The
    last, smaller group is dropped, as in SeCo, unless it is the only one. SeCo shuffles the tiles,
    which alone moves this score: by a standard deviation of 0.44 on simulated maps of 385 tiles.
    Here they are grouped in order, so that it is one number. It has no bootstrap replicates.
    `f1_image`, `f1_tile`: the mean over whole images, and over tiles, of those with a change in
    the truth or the prediction; of the others F1 is undefined.
    Source: ServiceNow/seasonal-contrast@411e37e:main_oscd.py and datasets/oscd_datamodule.py;
    pytorch-lightning 1.1.1, 1.1.4, 1.1.8: metrics/utils.py:class_reduce.
    """

    def __init__(self, classes: tuple[str, ...] = ("no change", "change")) -> None:
        if len(classes) != 2:
            raise UsageError(f"Expected the classes without and with change, but got {classes}.")
        self.pixels = Segmentation(classes, "miou")
        self.keys: list[str] = []

    def fresh(self) -> Change:
        return Change(self.pixels.classes)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count one tile: 0 or 1 [H, W]; 255 in target is left out. See `image_of` for key."""
        self.pixels.update(prediction, target)
        self.keys.append(key)

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of tiles."""
        tiles = np.stack(self.pixels.matrices).astype(np.float64)  # [N, 2, 2]
        w = np.ones((1, len(tiles))) if weights is None else weights
        found = _of_change(np.tensordot(w, tiles, 1))
        images = tiles_by_image(self.keys)
        each_image = [_f1(np.tensordot(w[:, i], tiles[i], 1)) for i in images]
        found["f1_image"] = mean_over_images(each_image, w, images)
        each = _f1(tiles)
        with np.errstate(invalid="ignore"):
            found["f1_tile"] = w @ np.nan_to_num(each) / (w @ ~np.isnan(each))
        if weights is not None:
            return {name: value * 100 for name, value in found.items()}
        known = {name: float(value[0] * 100) for name, value in found.items()}
        return known | {"f1_batch": _batched(tiles)}

    def state(self) -> dict[str, NDArray[Any]]:
        return {**self.pixels.state(), "tiles": np.array(self.keys, dtype=np.str_)}

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Change:
        whole = self.fresh()
        whole.pixels, whole.keys = self.pixels.restored(state), state["tiles"].tolist()
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return IoU, F1, precision and recall of both classes, in percent."""
        return self.pixels.per_class()

    def chance(self) -> float:
        """Return the F1 of predicting change everywhere: precision is its share, recall 1."""
        true = np.stack(self.pixels.matrices).sum((0, 2))
        return float(2 * true[1] / (true.sum() + true[1]) * 100)


def _of_change(matrices: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    each = class_scores(matrices)
    found = {name: each[name][..., 1] for name in ("f1", "precision", "recall", "iou")}
    return found | {"oa": each["oa"]}


def _f1(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    return class_scores(matrices)["f1"][..., 1]


def _batched(tiles: NDArray[np.float64]) -> float:
    """The mean F1 of consecutive groups of tiles [N, 2, 2], in percent."""
    size = min(GROUP, len(tiles))
    whole = tiles[: len(tiles) // size * size].reshape(-1, size, 2, 2)
    return float(np.nan_to_num(_f1(whole.sum(1))).mean() * 100)
