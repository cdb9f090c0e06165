"""Validation of boxes, scores and labels, of one image or of all images concatenated."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import as_array, as_flag, is_plain
from skybench.metrics.matching import Ints, Scene, TrueBoxes, rank_scene

Images = Sequence[Sequence[ArrayLike]]  # arrays for each image
TRUTH = ("boxes", "labels", "difficult", "crowd")  # of an image, in this order
DTYPE = operator.attrgetter("dtype")
FAR = 1e9  # pixels; areas of coordinates far beyond any image would overflow


def scene_from_arrays(
    detections: Images,
    truth: Images,
    corners: Callable[[NDArray[Any]], NDArray[Any]],
    count_difficult: bool,
) -> Scene:
    """Return the scene of plain arrays; corners: validates boxes and returns corners [n, 4, 2]."""
    count_difficult = as_flag(count_difficult, "count_difficult")
    said_images, true_images = _images(detections, "detections"), _images(truth, "truth")
    if len(said_images) != len(true_images) or not true_images:
        raise InvalidArray(
            "Expected detections and truth of the same images, at least one, but got "
            f"{len(said_images)} and {len(true_images)}."
        )
    widths, true_widths = ({len(one) for one in each} for each in (said_images, true_images))
    if widths != {3} or not true_widths <= {2, 3, 4}:
        raise InvalidArray(
            "Expected (boxes, scores, labels) and (boxes, labels), (boxes, labels, difficult) or "
            "(boxes, labels, difficult, crowd) of an image, but got "
            f"{sorted(widths)} and {sorted(true_widths)} arrays."
        )
    (boxes, scores, labels), counts = _concatenated(said_images, ("boxes", "scores", "labels"))
    said = validate_detections(Detections(corners(boxes), scores, labels))
    (boxes, labels, *flags), true_counts = _truth(true_images, true_widths)
    true = validate_truth(TrueBoxes(corners(boxes), labels, *flags), count_difficult)
    return rank_scene((said, counts), (true, true_counts))


def _truth(images: Images, widths: set[int]) -> tuple[list[NDArray[Any]], Ints]:
    """Boxes, labels, difficult and crowd of all images, and the number of rows of each."""
    names = TRUTH[: min(widths)]
    plain = _plain(images, names) if len(widths) == 1 else None
    if plain is None:
        return _concatenated([_with_flags(one) for one in images], TRUTH)
    arrays, counts = plain
    none = np.zeros(len(arrays[1]), bool)
    return [*arrays, *[none] * (len(TRUTH) - len(names))], counts


def _with_flags(one: Sequence[ArrayLike]) -> Sequence[ArrayLike]:
    """The boxes, labels, difficult and crowd of an image; flags that are not given are False."""
    labels = one[1] if is_plain(one[1]) else as_array(one[1], "labels")
    return one[0], labels, *one[2:], *[np.zeros(labels.shape, bool)] * (4 - len(one))


def _images(given: Images, name: str) -> list[Sequence[ArrayLike]]:
    """The arrays of each image; raises InvalidArray if they are no sequences of sequences."""
    wrong = InvalidArray(
        f"Expected {name} to be a list with a tuple of arrays for each image, such as "
        "[(boxes, labels), ...]."
    )
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise wrong
    images = list(given)
    unusual = [one for one in images if not isinstance(one, tuple | list)]
    if any(isinstance(one, str | bytes) or not isinstance(one, Sequence) for one in unusual):
        raise wrong
    return images


def _concatenated(images: Images, names: Sequence[str]) -> tuple[list[NDArray[Any]], Ints]:
    """Each array concatenated over images, and the number of rows of each image [N].

    Raises InvalidArray if the arrays of an image differ in length, or those of images in shape.
    """
    if (plain := _plain(images, names)) is not None:
        return plain
    columns = [
        [as_array(array, f"{name} of image {image}") for image, array in enumerate(column)]
        for name, column in zip(names, zip(*images, strict=True), strict=True)
    ]
    lengths = np.array([[len(array) for array in c] for c in columns])
    uneven = np.flatnonzero((lengths != lengths[0]).any(0))
    if len(uneven):
        shapes = [c[uneven[0]].shape for c in columns]
        raise InvalidArray(
            f"Expected as many rows in all arrays of an image, but those of image {uneven[0]} "
            f"have shapes {shapes}."
        )
    some = [[array for array in c if array.size] or c[:1] for c in columns]
    for arrays in some:
        forms = {array.shape[1:] for array in arrays}
        if len(forms) > 1:
            raise InvalidArray(
                f"Expected boxes of one form in all images, but got rows of {forms}."
            )
    return [np.concatenate(arrays) for arrays in some], lengths[0]


def _plain(images: Images, names: Sequence[str]) -> tuple[list[NDArray[Any]], Ints] | None:
    """What `_concatenated` gives, where all arrays of a name have one dtype and form; else None.

    They are looked at together: one by one, those of a large test set take as long as the matching.
    """
    whole, counts = [], []
    for _, column in zip(names, zip(*images, strict=True), strict=True):
        if {*map(type, column)} != {np.ndarray} or len({*map(DTYPE, column)}) > 1:
            return None
        try:
            counts.append([*map(len, column)])
            whole.append(np.concatenate(column))
        except (TypeError, ValueError):  # one has no axis, or rows of another shape
            return None
    fits = all(map(is_plain, whole)) and all(each == counts[0] for each in counts)
    return (whole, np.array(counts[0])) if fits else None


def horizontal_corners(boxes: NDArray[Any]) -> NDArray[Any]:
    """Return corners [n, 4, 2] of horizontal boxes [n, 4]; raises InvalidArray for other arrays."""
    if not boxes.size:
        return np.zeros((0, 4, 2))
    if boxes.shape[1:] != (4,) or (boxes[:, :2] > boxes[:, 2:]).any():
        raise InvalidArray(
            "Expected boxes [n, 4], (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, but got "
            f"{boxes.shape}: {boxes.reshape(-1)[:4]}.."
        )
    return from_horizontal(boxes)


def validate_detections(detections: Detections, classes: int | None = None) -> Detections:
    """Return detections as arrays; raises InvalidArray for invalid boxes, labels or NaN scores."""
    corners, labels = _validated(detections.corners, detections.labels, classes)
    scores = as_array(detections.scores, "scores")
    if scores.shape != labels.shape or np.isnan(scores).any():
        raise InvalidArray(
            f"Expected a score that can be ranked for each of {len(labels)} detections, but got "
            f"scores of shape {scores.shape}, {np.isnan(scores).sum()} of them NaN."
        )
    return Detections(corners, scores, labels)


def validate_truth(true: TrueBoxes, count_difficult: bool, classes: int | None = None) -> TrueBoxes:
    """Return ground truth as arrays; raises InvalidArray for invalid boxes, labels or flags."""
    corners, labels = _validated(true.corners, true.labels, classes)
    difficult = _flags(true.difficult, labels, "difficult")
    none = np.zeros(len(labels), bool)
    crowd = none if true.crowd is None else _flags(true.crowd, labels, "a crowd region")
    return TrueBoxes(corners, labels, difficult & (not count_difficult), crowd)


def _flags(given: ArrayLike, labels: NDArray[Any], what: str) -> NDArray[np.bool_]:
    """A truth value for each object [n]; raises InvalidArray for other values than 0 and 1."""
    flags = as_array(given, f"the flags of objects that are {what}")
    if flags.shape != labels.shape or ((flags != 0) & (flags != 1)).any():
        raise InvalidArray(
            f"Expected for each of {len(labels)} objects whether it is {what}, True or False, but "
            f"got an array of shape {flags.shape}: {flags.reshape(-1)[:4].tolist()}."
        )
    return flags.astype(bool)


def _validated(
    corners: ArrayLike, labels: ArrayLike, classes: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners [n, 4, 2] and labels [n] as arrays; raises InvalidArray if they are invalid."""
    c, ids = as_array(corners, "corners"), as_array(labels, "labels")
    if not c.size and not ids.size:
        return np.zeros((0, 4, 2)), np.zeros(0, np.intp)
    if ids.ndim != 1 or c.shape != (len(ids), 4, 2) or not np.isfinite(c).all():
        raise InvalidArray(
            "Expected finite corners [n, 4, 2] and labels [n], but got arrays of shapes "
            f"{c.shape} and {ids.shape}, {(~np.isfinite(c)).sum()} values of them not finite."
        )
    if (c > FAR).any() or (c < -FAR).any():
        raise InvalidArray(f"Expected boxes in pixels, but got coordinates beyond {FAR:.0e}.")
    top = classes - 1 if classes else np.iinfo(np.int64).max
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() > top:
        raise InvalidArray(
            f"Expected labels that are integers from 0 to {top if classes else 'any'}, "
            f"but got {ids.min()}..{ids.max()} ({ids.dtype})."
        )
    return c, ids
