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
from skybench.metrics.ranked_sums import (
    RUN,
    Numbers,
    WeightTables,
    accumulate,
    arranged,
    highest_from_here,
    increments,
    side_by_side,
    sums,
)
from skybench.metrics.segmentation import nan_mean

# The floats of the original code: a recall of 3 in 10 does not reach 0.30000000000000004.
COCO_IOUS = np.linspace(0.5, 0.95, 10)
COCO_RECALLS = np.linspace(0, 1, 101)
VOC_RECALLS = {11: np.arange(0, 1.001, 0.1), 0: None}
CELLS = 2**22  # elements of weights times hits in memory at once


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
        some = start + np.flatnonzero(kept[start:stop])
        objects = scene.true_images[(scene.true_labels == label) & ~scene.difficult]
        counts = np.bincount(objects, minlength=scene.number).astype(np.float64)
        judged = Verdicts(verdict.hit.take(some, 0), verdict.ignored.take(some, 0))
        ranked[label] = Ranked(scene.images[some], judged, counts)
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
    # Equal rows have one sum. Few boxes share one with another, and only these rows are compared.
    _, ids, counts = np.unique(rows.sum(1), return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[ids] > 1)
    if len(shared):
        ids[shared] = len(counts) + np.unique(rows[shared], axis=0, return_inverse=True)[1]
    return np.asarray(ids)


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


def coco_scores(ranked: Ranked, tables: WeightTables) -> dict[str, Floats]:
    """Return COCO's scores [B] of one class in 0..1, `ap50` first."""
    (ap,) = class_precisions(ranked, tables, (COCO_RECALLS,))
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
    which it is averaged, equally spaced from 0 to 1, or None for the area under the curve. NaN if
    no countable object has weight. For its digits see `WeightTables`.
    """
    return class_precisions(ranked, WeightTables(weights), steps)


def class_precisions(
    ranked: Ranked, tables: WeightTables, steps: tuple[Floats | None, ...]
) -> list[Floats]:
    """Return what `box_average_precision` does, of weights that serve all classes."""
    hit = ranked.verdict.hit
    objects = tables.weights @ ranked.objects
    found = [np.zeros((len(objects), hit.shape[1])) for _ in steps]
    curve = _curve(ranked)
    most = int(np.bincount(ranked.images).max(initial=0))
    # A recall must be told from its neighbours in float32: of up to 2^16 objects it can.
    largest = max(tables.total * most, float(objects.max(initial=0)) * 2**8)
    start = 0
    for table in tables.of(largest) if curve.hit.any() else ():
        for columns in np.array_split(np.arange(table.shape[1]), _parts(curve, table)):
            rows = slice(start, start + len(columns))
            some = np.ascontiguousarray(table[:, columns[0] : columns[-1] + 1])
            for ap, one in zip(found, _precisions(curve, some, objects[rows], steps), strict=True):
                ap[rows] = one
            start += len(columns)
    for ap in found:
        ap[objects == 0] = np.nan
    return found


class _Curve(NamedTuple):
    """The detections of one class that are hits at some threshold; see `ranked_sums`."""

    images: Numbers  # of all detections up to each, since the one before
    starts: Numbers
    hit_images: Numbers
    hit_starts: Numbers
    hit: Flags  # [T, RUN, runs]
    skipped: Sequence[tuple[Numbers, Numbers] | None]  # [T]: ignored ones before each; None: none


def _curve(ranked: Ranked) -> _Curve:
    hit, ignored = ranked.verdict
    ever = np.flatnonzero(hit.any(1))
    places = side_by_side(len(ever), len(ever))
    padded = np.pad(hit[ever], ((0, len(places) - len(ever)), (0, 0)))[places]
    skipped: list[tuple[Numbers, Numbers] | None] = []
    for column, some in zip(ignored.T, np.atleast_1d(ignored.any(0)), strict=True):
        ranks = np.flatnonzero(column) if some else ever[:0]
        before = np.append(0, np.searchsorted(ranks, ever) if some else 0)
        skipped.append(arranged(ranked.images[ranks], before, places) if before[-1] else None)
    return _Curve(
        *arranged(ranked.images, np.append(0, ever + 1), places),
        *arranged(ranked.images[ever], np.arange(len(ever) + 1), places),
        padded.T.reshape(hit.shape[1], RUN, -1),
        skipped,
    )


def _parts(curve: _Curve, table: Floats) -> int:
    """In how many parts the columns of a table are evaluated, so that the memory is bounded."""
    columns: int = table.shape[1]
    cells: int = curve.hit[0].size * columns
    return min(columns, -(-cells // CELLS))


def _precisions(
    curve: _Curve, table: Floats, objects: Floats, steps: tuple[Floats | None, ...]
) -> list[Floats]:
    """The AP [B, T] for each of `steps`, for weights [N, B] and weighted objects [B]."""
    found = [np.zeros((table.shape[1], len(curve.hit))) for _ in steps]
    seen = sums(table, curve.images, curve.starts)
    accumulate(seen)
    gain = sums(table, curve.hit_images, curve.hit_starts)
    total, every = _divisor(objects.astype(table.dtype)), _divisor(seen)
    for t, (hit, skipped) in enumerate(zip(curve.hit, curve.skipped, strict=True)):
        if not hit.any():
            continue
        own, said = gain * hit.astype(table.dtype)[..., None], every
        if skipped is not None:
            before = sums(table, *skipped)
            accumulate(before)
            said = _divisor(seen - before)
        # Where another threshold has its hit the precision is no new maximum, nor is the recall.
        recall = own.copy()
        accumulate(recall)
        best = recall / said
        highest_from_here(best)
        for ap, at in zip(found, steps, strict=True):
            new = own / total if at is None else increments(_levels(recall, total, at))
            new *= best
            ap[:, t] = new.sum(0).sum(0, dtype=np.float64)
            if at is not None:  # the recall 0 is reached by the first detection
                ap[:, t] = (ap[:, t] + best[0, 0]) / len(at)
    return found


def _levels(found: Floats, objects: Floats, at: Floats) -> Floats:
    """How many of the recalls above 0 are reached with so many objects found, like `found`."""
    last = len(at) - 1
    exact = found * last
    exact /= objects
    reached = np.floor(exact)
    # A step may lie a rounding error above the recall that has to reach it, as 0.1 * 3 does.
    late = at > np.arange(len(at)) / last
    flat = reached.reshape(-1)
    even = np.flatnonzero(exact.reshape(-1) == flat)
    flat[even] -= late[flat[even].astype(np.intp)]
    return reached


def _divisor(weights: Floats) -> Floats:
    """Sums of weights above 0: where there are none, what they divide is 0 too."""
    return np.maximum(weights, np.finfo(weights.dtype).tiny)
