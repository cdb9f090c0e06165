"""Average precision of ranked detections, for any weights of the images (bootstrap)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.metrics.matching import (
    Flags,
    Floats,
    Ints,
    Pairs,
    Scene,
    Verdicts,
    match_coco,
    match_voc,
    rank_within_group,
)
from skybench.metrics.segmentation import nan_mean

# The floats of the original code: a recall of 3 in 10 does not reach 0.30000000000000004.
COCO_IOUS = np.linspace(0.5, 0.95, 10)
COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = {11: np.arange(0, 1.001, 0.1), 0: None}
CELLS = 1_000_000  # elements of weights times detections in memory at once


class Ranked(NamedTuple):
    """The detections of one class, the highest score first."""

    images: Ints  # [M], the image of each
    verdict: Verdicts
    objects: Floats  # [N]: number of countable objects of each image


def rank_by_class(scene: Scene, verdict: Verdicts, kept: Flags) -> dict[int, Ranked]:
    """Return the ranked detections that are kept, of each class with a countable object."""
    ranked = {}
    for label in np.unique(scene.true_labels[~scene.difficult]).tolist():
        start, stop = np.searchsorted(scene.labels, [label, label + 1])
        mine = slice(start, stop)
        some = kept[mine]
        objects = scene.true_images[(scene.true_labels == label) & ~scene.difficult]
        counts = np.bincount(objects, minlength=scene.number).astype(np.float64)
        judged = Verdicts(verdict.hit[mine][some], verdict.ignored[mine][some])
        ranked[label] = Ranked(scene.images[mine][some], judged, counts)
    return ranked


def coco_curves(scene: Scene, pairs: Pairs, most: int | None) -> dict[int, Ranked]:
    """Rank the `most` best detections of each group by class, matched as COCO at its ten IoUs."""
    kept = np.ones(len(scene.groups), bool)
    if most is not None and np.bincount(scene.groups).max(initial=0) > most:
        kept = rank_within_group(scene.groups) < most
    some = pairs.where(kept[pairs.detections])
    return rank_by_class(scene, match_coco(some, scene.groups, scene.difficult, COCO_IOUS), kept)


def equal_boxes(corners: NDArray[Any], groups: NDArray[Any]) -> Ints:
    """Return ids [G] that are equal for boxes of one group with the same four corners.

    The corners [G, 4, 2] may begin anywhere and go around either way.
    """
    points = np.sort(corners @ [1, 1j], 1)
    rows = np.column_stack([groups, points])
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


class VocCurves(NamedTuple):
    """The ranked detections of each class, by Pascal VOC's rule and by a milder one.

    They differ where an object is annotated k times: with equal boxes of one class in one image.
    """

    strict: dict[int, Ranked]  # one of its detections is a hit, as in VOC and mmrotate
    doubles: dict[int, Ranked]  # k of them are; the same as `strict` where nothing is repeated
    repeats: dict[int, int]  # by class: countable objects, less those that differ


def voc_curves(scene: Scene, pairs: Pairs, iou: float) -> VocCurves:
    """Rank all detections by class, matched as Pascal VOC does at one IoU."""
    some = pairs.where(pairs.iou >= iou)
    same = equal_boxes(scene.true_corners, scene.true_groups + 1j * scene.difficult)
    counts = np.bincount(same)
    inside = some.detections[scene.crowd[some.objects]]
    some = some.where(~scene.crowd[some.objects])

    def judged(hits: Ints) -> dict[int, Ranked]:
        verdict = match_voc(some, len(scene.groups), scene.difficult, same, hits)
        # VOC has no crowds; by COCO's rule none of the detections in one is a false positive.
        verdict.ignored[inside] |= ~verdict.hit[inside]
        return rank_by_class(scene, verdict, np.ones(len(scene.groups), bool))

    strict = judged(np.ones_like(counts))
    again = scene.true_labels[(rank_within_group(same) > 0) & ~scene.difficult]
    repeats = {label: int((again == label).sum()) for label in strict}
    return VocCurves(strict, judged(counts) if len(again) else strict, repeats)


def coco_scores(ranked: Ranked, weights: Floats) -> dict[str, Floats]:
    """Return COCO's scores [B] of one class in 0..1, `ap50` first."""
    (ap,) = box_average_precision(ranked, weights, (COCO_RECALLS,))
    return {"ap50": ap[:, 0], "ap": ap.mean(1), "ap75": ap[:, 5]}


def over_classes(
    each: Sequence[dict[str, Floats]], names: Sequence[str], count: int
) -> dict[str, Floats]:
    """Return means [B = count] over classes with a countable object, in percent, or NaN."""
    none = np.full(count, np.nan)
    return {name: nan_mean(np.stack([none, *(e[name] for e in each)], -1)) * 100 for name in names}


def box_average_precision(
    ranked: Ranked, weights: Floats, steps: tuple[Floats | None, ...]
) -> list[Floats]:
    """Return the AP [B, T] in 0..1 for each of `steps`, with image weights [B, N].

    Precision is interpolated: the highest at that or any higher recall. steps: the recalls over
    which it is averaged, or None for the area under the curve. NaN if no countable object has
    weight.
    """
    rows = max(1, CELLS // max(1, len(ranked.images)))
    blocks = [
        _average_precision(ranked, weights[start : start + rows], steps)
        for start in range(0, len(weights), rows)
    ]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _average_precision(
    ranked: Ranked, weights: Floats, steps: tuple[Floats | None, ...]
) -> list[Floats]:
    hit, ignored = ranked.verdict
    objects = weights @ ranked.objects
    ever = np.flatnonzero(hit.any(1))  # hits at some threshold
    seen = _seen(ranked.images, weights, ever)
    found = [np.empty((len(weights), hit.shape[1])) for _ in steps]
    zero = np.zeros((len(weights), 1))
    for t in range(hit.shape[1]):
        now = np.flatnonzero(hit[ever, t])
        hits, skipped = ever[now], np.flatnonzero(ignored[:, t])
        rising = np.cumsum(weights[:, ranked.images[hits]], 1)  # objects found so far
        said = seen[:, now]
        if skipped.size:
            before = np.cumsum(weights[:, ranked.images[skipped]], 1)
            said -= np.concatenate([zero, before], 1)[:, np.searchsorted(skipped, hits)]
        precision = rising / np.where(said > 0, said, 1)
        best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        with np.errstate(invalid="ignore"):
            recall = rising / objects[:, None]
        for ap, at in zip(found, steps, strict=True):
            ap[:, t] = _area(recall, best) if at is None else _mean(recall, best, at)
    for ap in found:
        ap[objects == 0] = np.nan
    return found


def _seen(images: Ints, weights: Floats, places: Ints) -> Floats:
    """The summed weight of the detections up to these ranks, [B, len(places)]."""
    if not len(places):
        return np.zeros((len(weights), 0))
    # Summed between ranks first: half the time of a running sum over all detections.
    drawn = np.take(weights, images[: places[-1] + 1], 1)
    return np.cumsum(np.add.reduceat(drawn, np.append(0, places[:-1] + 1), 1), 1)


def _area(recall: Floats, precision: Floats) -> Floats:
    return np.asarray((np.diff(recall, prepend=0.0) * precision).sum(1))


def _mean(recall: Floats, precision: Floats, at: Floats) -> Floats:
    """The mean precision [B] at the first hits that reach given recalls; 0 if none does."""
    first = np.stack([row.searchsorted(at) for row in recall])
    padded = np.concatenate([precision, np.zeros((len(precision), 1))], 1)
    return np.asarray(np.take_along_axis(padded, first, 1).mean(1))
