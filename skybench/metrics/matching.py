"""Matching of detections to objects, over all images at once.

Detections are ranked by class and score, so the lower index has precedence. A group is one class
in one image: detections are matched to objects of their group only. Only pairs that overlap enough
are stored; of 1,500 x 1,500 boxes of an aerial image that is less than one in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.boxes.detections import Detections
from skybench.metrics.ordering import descending, numbered

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK = 100_000  # pairs at once: the intermediate arrays stay in the processor's cache
FEW = 16  # objects of a group; in larger groups only near objects are compared
FORMS = 4096  # boxes converted at once: the intermediate arrays stay in the processor's cache


class BoxForm(NamedTuple):
    """A form of box, horizontal or rotated, and how two are compared."""

    form: Callable[[NDArray[Any]], NDArray[Any]]  # [N, ...] of corners [N, 4, 2]
    around: Callable[[NDArray[Any]], NDArray[Any]]  # enclosing horizontal boxes [N, 4] of forms
    iou: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]  # [P] of two forms [P, ...]
    # [P]: the intersection over the area of the first
    inside: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


class TrueBoxes(NamedTuple):
    """The ground-truth boxes of one image."""

    corners: NDArray[Any]  # [n, 4, 2]
    labels: NDArray[Any]  # [n]
    difficult: NDArray[Any]  # [n], bool: ignored
    crowd: NDArray[Any] | None = None  # [n], bool: regions of many objects, ignored; None: none


class Scene(NamedTuple):
    """The D detections and G objects of all images, concatenated and sorted."""

    number: int  # of images
    corners: Floats  # [D, 4, 2]
    labels: Ints  # [D], ascending
    images: Ints  # [D]
    groups: Ints  # [D], from 0 to the number of images times that of labels
    true_corners: Floats  # [G, 4, 2]
    true_labels: Ints  # [G]
    true_images: Ints  # [G]
    true_groups: Ints  # [G]
    difficult: Flags  # [G], ignored; these come last in each group
    crowd: Flags  # [G], the ignored ones that are regions of many objects


class Pairs(NamedTuple):
    """Detections and objects that overlap, P pairs in any order."""

    detections: Ints
    objects: Ints
    iou: Floats  # with a crowd region: the share of the detection that lies in it

    def where(self, chosen: Flags | Ints) -> Pairs:
        return Pairs(self.detections[chosen], self.objects[chosen], self.iou[chosen])


class Verdicts(NamedTuple):
    """The outcome of D detections at T thresholds; neither hit nor ignored is a false positive."""

    hit: Flags  # [D, T]: true positive
    ignored: Flags  # [D, T]: matched to an ignored object


def gather_scene(said: Sequence[Detections], true: Sequence[TrueBoxes]) -> Scene:
    """Concatenate and rank images; equal scores stay in the order of images, then as given."""
    found = (np.concatenate(each) for each in zip(*map(_columns, said), strict=True))
    known = (one if one.crowd is not None else one._replace(crowd=_none(one)) for one in true)
    truth = (np.concatenate(each) for each in zip(*known, strict=True))
    counts, true_counts = (np.array([len(one.labels) for one in each]) for each in (said, true))
    return rank_scene((Detections(*found), counts), (TrueBoxes(*truth), true_counts))


def _none(true: TrueBoxes) -> Flags:
    return np.zeros(len(true.labels), bool)


def _columns(said: Detections) -> tuple[NDArray[Any], ...]:
    return said.corners, said.scores, said.labels


def rank_scene(said: tuple[Detections, Ints], true: tuple[TrueBoxes, Ints]) -> Scene:
    """Rank images that are concatenated already, with the number of boxes of each [N]."""
    (found, counts), (truth, true_counts) = said, true
    scores, labels = found.scores.astype(np.float64), found.labels.astype(np.intp)
    true_labels, crowd = truth.labels.astype(np.intp), truth.crowd
    crowd = _none(truth) if crowd is None else crowd.astype(bool)
    difficult = truth.difficult.astype(bool) | crowd
    images, true_images = (np.repeat(np.arange(len(n)), n) for n in (counts, true_counts))
    (kinds, true_kinds), number = numbered(labels, true_labels)
    groups, true_groups = images * number + kinds, true_images * number + true_kinds
    rank, order = descending(scores), np.lexsort((difficult, true_groups))
    rank = rank[np.argsort(kinds[rank], kind="stable")]
    return Scene(
        len(counts),
        # `take`: five times as fast as an index.
        found.corners.take(rank, 0).astype(np.float64, copy=False),
        labels[rank],
        images[rank],
        groups[rank],
        truth.corners.take(order, 0).astype(np.float64, copy=False),
        true_labels[order],
        true_images[order],
        true_groups[order],
        difficult[order],
        crowd[order],
    )


def rank_within_group(groups: NDArray[Any]) -> Ints:
    """Return for each element the number of equal elements before it.

    >>> rank_within_group(np.array([7, 3, 7, 7])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    numbers = np.empty(len(groups), np.intp)
    numbers[order] = np.arange(len(groups)) - np.repeat(first, np.diff(first, append=len(groups)))
    return numbers


def candidate_pairs(
    groups: tuple[Ints, Ints], boxes: tuple[Floats, Floats]
) -> Iterator[tuple[Ints, Ints]]:
    """Yield, in blocks, all pairs of a detection and an object of one group whose boxes overlap.

    groups: of the detections [D] and, ascending, of the objects [G]; boxes: [D, 4] and [G, 4].
    The pairs are in the order of the detections.
    """
    (said_in, true_in), (said, true) = groups, boxes
    if not len(said) or not len(true):
        return
    sizes = np.bincount(true_in, minlength=said_in.max() + 1)
    end = np.cumsum(sizes)[said_in]
    begin = end - sizes[said_in]
    large = np.flatnonzero(end - begin > FEW)
    order = np.arange(len(true))
    if len(large):
        order = np.lexsort((true[:, 0], true_in))
        true = true.take(order, 0)
        first, last = _window((said_in[large], true_in), (said[large], true))
        begin[large] = np.maximum(begin[large], first)
        end[large] = np.minimum(end[large], last)
    counts = end - begin
    x0, y0, x1, y1 = (np.ascontiguousarray(side) for side in true.T)
    own_x0, own_y0, own_x1, own_y1 = (np.ascontiguousarray(side) for side in said.T)
    blocks = np.flatnonzero(np.diff(np.cumsum(counts) // BLOCK)) + 1
    for some in np.split(np.arange(len(said)), blocks):
        much = counts[some]
        j = np.arange(much.sum()) + np.repeat(begin[some] - np.cumsum(much) + much, much)
        near = y0[j] <= np.repeat(own_y1[some], much)
        near &= y1[j] >= np.repeat(own_y0[some], much)
        i, j = np.repeat(some, much)[near], j[near]
        near = (x0[j] <= own_x1[i]) & (x1[j] >= own_x0[i])
        yield i[near], order[j[near]]


def _window(groups: tuple[Ints, Ints], boxes: tuple[Floats, Floats]) -> tuple[Ints, Ints]:
    """The range of objects that may overlap each detection: first and last index, [D] each.

    The objects are sorted by group, then by their left side. Groups are placed side by side on one
    axis: objects that can overlap a detection begin between its left side, less the width of the
    widest object of the group, and its right side. The range may include objects of the previous
    group.
    """
    (said_in, true_in), (said, true) = groups, boxes
    low = min(said[:, 0].min(), true[:, 0].min())
    span = max(said[:, 2].max(), true[:, 2].max()) - low + 1
    ids, first = np.unique(true_in, return_index=True)
    widest = np.maximum.reduceat(true[:, 2] - true[:, 0], first)[np.searchsorted(ids, said_in)]
    left = true_in * span + true[:, 0] - low
    slack = 1e-12 * (left[-1] + span)  # rounding error of these sums
    begin = np.searchsorted(left, said_in * span + said[:, 0] - low - widest - slack)
    end = np.searchsorted(left, said_in * span + said[:, 2] - low + slack, "right")
    return begin, end


def find_pairs(scene: Scene, shape: BoxForm, least: float) -> Pairs:
    """Return all pairs of a group whose IoU is at least `least`.

    The overlap with a crowd region is the share of the detection that lies in it, as COCO has it.
    Each box of a pair then covers at least that share of the other. In any direction no more than
    a share s <= 1/2 of a rectangle lies in the outer share s of its extent, so the other box must
    reach into its enclosing box shrunk by s on every side, for 1/2 to its centre.
    """
    said, true = (_in_blocks(shape.form, x) for x in (scene.corners, scene.true_corners))
    around, true_around = (_in_blocks(shape.around, boxes) for boxes in (said, true))
    left = 1 - 2 * min(least, 0.5) + 1e-6
    inner, true_inner = _shrunk(around, left), _shrunk(true_around, left)
    none = np.zeros(0, np.intp)
    crowd = np.flatnonzero(scene.crowd)
    found = [Pairs(none, none, np.zeros(0))]
    for i, j in candidate_pairs(
        (scene.groups, scene.true_groups[crowd]), (around, true_around[crowd])
    ):
        pairs = Pairs(i, crowd[j], shape.inside(said[i], true[crowd[j]]))
        found.append(pairs.where(pairs.iou >= least))
    for i, j in candidate_pairs((scene.groups, scene.true_groups), (around, true_inner)):
        own, other = inner[i], true_around[j]
        near = (own[:, 0] <= other[:, 2]) & (own[:, 2] >= other[:, 0])
        near &= (own[:, 1] <= other[:, 3]) & (own[:, 3] >= other[:, 1])
        near &= ~scene.crowd[j]
        pairs = Pairs(i[near], j[near], shape.iou(said[i[near]], true[j[near]]))
        found.append(pairs.where(pairs.iou >= least))
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _shrunk(boxes: Floats, factor: float) -> Floats:
    """Horizontal boxes [N, 4] with the same centres, `factor` times as wide and high."""
    turned = boxes[:, [2, 3, 0, 1]]
    return np.asarray((boxes + turned) / 2 + (boxes - turned) * (factor / 2))


def _in_blocks(function: Callable[[NDArray[Any]], NDArray[Any]], rows: Floats) -> NDArray[Any]:
    starts = range(0, max(len(rows), 1), FORMS)
    return np.concatenate([function(rows[s : s + FORMS]) for s in starts])


def match_coco(pairs: Pairs, groups: Ints, difficult: Flags, thresholds: Floats) -> Verdicts:
    """Match each detection to the free object of highest IoU, at each of T thresholds, as COCO.

    groups: of the detections [D]; difficult: [G], ignored objects, which are matched only if no
    other is free, and by any number of detections. Of equal IoUs the later object is matched.
    Source: cocodataset/cocoapi: PythonAPI/pycocotools/cocoeval.py:evaluateImg, where ignored
    objects that are no crowds can be matched only once.
    """
    enough = pairs.iou[:, None] >= np.minimum(thresholds, 1 - 1e-10)  # [P, T]
    shape = len(groups), len(thresholds)
    hit, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    taken = np.zeros((len(difficult), len(thresholds)), bool)
    for some in _rounds(pairs, groups, difficult):
        who, what = pairs.detections[some], pairs.objects[some]
        skip = difficult[what, None]
        fits = enough[some] & ~taken[what] & ~hit[who]
        hit[who] |= fits & ~skip
        ignored[who] |= fits & skip
        taken[what] |= fits & ~skip
    return Verdicts(hit, ignored)


def _rounds(pairs: Pairs, groups: Ints, difficult: Flags) -> Iterator[Ints]:
    """Indices of all pairs, in rounds whose pairs share no detection or object.

    First pairs that are the only one of both sides; then one detection per group and round, in
    order, and one object per detection, the preferred one first.
    """
    d, g, iou = pairs
    alone = (np.bincount(d)[d] == 1) & (np.bincount(g)[g] == 1)
    yield np.flatnonzero(alone)
    rest = np.flatnonzero(~alone)
    order = rest[np.lexsort((-g[rest], -iou[rest], difficult[g[rest]], d[rest]))]
    some, place = np.unique(d[order], return_inverse=True)
    rounds = np.stack([rank_within_group(d[order]), rank_within_group(groups[some])[place]])
    last = np.lexsort(rounds)
    yield from np.split(order[last], np.flatnonzero(np.diff(rounds[:, last]).any(0)) + 1)


def match_voc(pairs: Pairs, count: int, difficult: Flags, same: Ints, hits: Ints) -> Verdicts:
    """Match each of `count` detections to the object of highest IoU, the first of equals, as VOC.

    The first detection of an object is a hit, any other a false positive; difficult: [G], ignored
    objects, whose detections are ignored. pairs: with at least the threshold, T = 1. same: [G],
    the ids of `equal_boxes`, for all detections of an object annotated k times go to the first of
    the k; hits: by that id, how many of these detections are hits: 1 in VOC and mmrotate.
    Source: open-mmlab/mmrotate@2a02038:mmrotate/evaluation/functional/mean_ap.py:tpfp_default.
    """
    order = np.lexsort((pairs.objects, -pairs.iou, pairs.detections))
    d, first = np.unique(pairs.detections[order], return_index=True)
    g = pairs.objects[order][first]
    skip = difficult[g]
    hit, ignored = np.zeros((count, 1), bool), np.zeros((count, 1), bool)
    hit[d, 0] = ~skip & (rank_within_group(same[g]) < hits[same[g]])
    ignored[d, 0] = skip
    return Verdicts(hit, ignored)
