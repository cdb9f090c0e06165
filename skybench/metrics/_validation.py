"""Validation of boxes, scores and labels, of one image or of all images concatenated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core import UsageError
from skybench.metrics.matching import Ints, Scene, TrueBoxes, rank_scene

Images = Sequence[Sequence[ArrayLike]]  # arrays for each image


def scene_from_arrays(
    detections: Images,
    truth: Images,
    corners: Callable[[NDArray[Any]], NDArray[Any]],
    count_difficult: bool,
) -> Scene:
    """Return the scene of plain arrays; corners: validates boxes and returns corners [n, 4, 2]."""
    if len(detections) != len(truth) or not len(truth):
        raise UsageError(
            "Expected detections and truth of the same images, at least one, but got "
            f"{len(detections)} and {len(truth)}."
        )
    widths, true_widths = ({len(one) for one in images} for images in (detections, truth))
    if widths != {3} or not true_widths <= {2, 3}:
        raise UsageError(
            "Expected (boxes, scores, labels) and (boxes, labels) or (boxes, labels, difficult) "
            f"of an image, but got {sorted(widths)} and {sorted(true_widths)} arrays."
        )
    (boxes, scores, labels), counts = _concatenated(detections)
    said = validate_detections(Detections(corners(boxes), scores, labels))
    full = [one if len(one) == 3 else (*one, np.zeros(np.shape(one[1]), bool)) for one in truth]
    (boxes, labels, difficult), true_counts = _concatenated(full)
    true = validate_truth(TrueBoxes(corners(boxes), labels, difficult), count_difficult)
    return rank_scene((said, counts), (true, true_counts))


def _concatenated(images: Images) -> tuple[list[NDArray[Any]], Ints]:
    """Each array concatenated over images, and the number of rows of each image [N].

    Raises UsageError if the arrays of an image differ in length, or those of images in shape.
    """
    columns = [[np.asarray(array) for array in column] for column in zip(*images, strict=True)]
    lengths = np.array([[len(array) if array.ndim else -1 for array in c] for c in columns])
    uneven = np.flatnonzero((lengths != lengths[0]).any(0) | (lengths[0] < 0))
    if len(uneven):
        shapes = [c[uneven[0]].shape for c in columns]
        raise UsageError(
            f"Expected as many rows in all arrays of an image, but those of image {uneven[0]} "
            f"have shapes {shapes}."
        )
    some = [[array for array in c if array.size] or c[:1] for c in columns]
    for arrays in some:
        forms = {array.shape[1:] for array in arrays}
        if len(forms) > 1:
            raise UsageError(f"Expected boxes of one form in all images, but got rows of {forms}.")
    return [np.concatenate(arrays) for arrays in some], lengths[0]


def horizontal_corners(boxes: NDArray[Any]) -> NDArray[Any]:
    """Return corners [n, 4, 2] of horizontal boxes [n, 4]; raises UsageError for other arrays."""
    if not boxes.size:
        return np.zeros((0, 4, 2))
    if boxes.shape[1:] != (4,) or (boxes[:, :2] > boxes[:, 2:]).any():
        raise UsageError(
            "Expected boxes [n, 4], (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, but got "
            f"{boxes.shape}: {boxes.reshape(-1)[:4]}.."
        )
    return from_horizontal(boxes)


def validate_detections(detections: Detections, classes: int | None = None) -> Detections:
    """Return detections as arrays; raises UsageError for invalid boxes, labels or NaN scores."""
    corners, labels = _validated(detections.corners, detections.labels, classes)
    scores = np.asarray(detections.scores)
    if scores.shape != labels.shape or np.isnan(scores).any():
        raise UsageError(
            f"Expected a score that can be ranked for each of {len(labels)} detections, but got "
            f"scores of shape {scores.shape}, {np.isnan(scores).sum()} of them NaN."
        )
    return Detections(corners, scores, labels)


def validate_truth(true: TrueBoxes, count_difficult: bool, classes: int | None = None) -> TrueBoxes:
    """Return ground truth as arrays; raises UsageError for invalid boxes, labels or flags."""
    corners, labels = _validated(true.corners, true.labels, classes)
    difficult = np.asarray(true.difficult, bool)
    if difficult.shape != labels.shape:
        raise UsageError(
            f"Expected for each of {len(labels)} objects whether it is difficult, but got "
            f"an array of shape {difficult.shape}."
        )
    return TrueBoxes(corners, labels, difficult & (not count_difficult))


def _validated(
    corners: ArrayLike, labels: ArrayLike, classes: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners [n, 4, 2] and labels [n] as arrays; raises UsageError if they are invalid."""
    c, ids = np.asarray(corners), np.asarray(labels)
    if not c.size and not ids.size:
        return np.zeros((0, 4, 2)), np.zeros(0, np.intp)
    if ids.ndim != 1 or c.shape != (len(ids), 4, 2) or not np.isfinite(c).all():
        raise UsageError(
            "Expected finite corners [n, 4, 2] and labels [n], but got arrays of shapes "
            f"{c.shape} and {ids.shape}, {(~np.isfinite(c)).sum()} values of them not finite."
        )
    if ids.dtype.kind not in "iu" or ids.min() < 0 or (classes and ids.max() >= classes):
        raise UsageError(
            f"Expected labels that are integers from 0 to {classes - 1 if classes else 'any'}, "
            f"but got {ids.min()}..{ids.max()} ({ids.dtype})."
        )
    return c, ids
