"""Crowd regions (COCO's iscrowd): regions of many objects that were not annotated one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.checks import metric_self_test
from skybench.core import Boxes
from skybench.metrics import coco_ap, rotated_ap, voc_ap
from skybench.metrics.average_precision import (
    COCO_IOUS,
    COCO_RECALLS,
    box_average_precision,
    coco_curves,
)
from skybench.metrics.horizontal_boxes import CocoBoxes
from skybench.metrics.matching import find_pairs, gather_scene

from ._box_cases import CASES, CLASSES, Case, area_or_mean, boxes, cases

FOUND = (100.0, 100.0, 140.0, 140.0)
REGION = (0.0, 0.0, 90.0, 90.0)
WITHIN = [(10.0 * i, 10.0, 10.0 * i + 8.0, 18.0) for i in range(5)]
ONE = [(boxes(*WITHIN, FOUND), [0.9, 0.8, 0.7, 0.6, 0.55, 0.5], [0] * 6)]
MARKED = [(boxes(FOUND, REGION), [0, 0], [False, False], [False, True])]


def test_what_lies_in_a_crowd_is_no_false_positive() -> None:
    assert coco_ap(ONE, MARKED) == {"ap50": 100, "ap": 100, "ap75": 100}
    assert coco_ap(ONE, MARKED, count_difficult=True)["ap50"] == 100  # a crowd never counts
    assert voc_ap(ONE, MARKED, points=0)["map"] == 100
    plain = [(b, labels) for b, labels, *_ in MARKED]
    assert coco_ap(ONE, plain)["ap50"] < 20  # as an object, the region is one that nothing finds


def test_what_lies_in_a_crowd_by_less_than_the_threshold_is_one() -> None:
    half = [(boxes((60, 0, 120, 10), FOUND), [0.9, 0.5], [0, 0])]  # 30 of its 60 pixels
    assert coco_ap(half, MARKED) == pytest.approx({"ap50": 100, "ap": 55, "ap75": 50})
    less = [(boxes((61, 0, 121, 10), FOUND), [0.9, 0.5], [0, 0])]
    assert coco_ap(less, MARKED)["ap50"] == pytest.approx(50)
    other = [(half[0][0], half[0][1], [1, 0])]  # the region is of class 0
    assert coco_ap(other, MARKED)["ap50"] == 100


def test_a_second_detection_of_an_object_in_a_crowd_is_ignored() -> None:
    inside = (20.0, 20.0, 40.0, 40.0)
    truth = [(boxes(inside, REGION), [0, 0], [False, False], [False, True])]
    said = [(boxes(inside, inside, (500, 0, 510, 9)), [0.9, 0.8, 0.7], [0, 0, 0])]
    assert coco_ap(said, truth)["ap50"] == voc_ap(said, truth, points=0)["map"] == 100


def test_rotated_boxes_in_a_crowd_are_no_false_positives() -> None:
    turned = np.array([[30, 40, 20, 6, 0.5], [60, 30, 14, 5, -1.0], [200, 200, 30, 10, 0.3]])
    region = np.array([[45, 45, 120, 100, 0.1]])
    truth = [(np.concatenate([turned[2:], region]), [0, 0], [False, False], [False, True])]
    said = [(turned, [0.9, 0.8, 0.7], [0, 0, 0])]
    assert rotated_ap(said, truth, points=0)["map"] == 100


def by_the_published_algorithm(case: Case, iou: float, label: int) -> tuple[list[Any], int]:
    """(score, right) of each detection of a class that is not ignored, and the objects' number.

    Follows pycocotools' evaluateImg: overlap with a crowd by the detection's area, objects before
    crowds, of equals the later, an object once, a crowd any number of times.
    """
    hits, objects = [], 0
    for (said, scores, names), (true, labels, _, crowd) in zip(*case, strict=True):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(crowd[own], kind="stable")]
        objects += int((~crowd[own]).sum())
        taken: set[int] = set()
        order = np.flatnonzero(names == label)
        for d in order[np.argsort(-scores[order], kind="stable")][:100]:
            best, found = min(iou, 1 - 1e-10), -1
            for g in own.tolist():
                if g in taken and not crowd[g]:
                    continue
                if found > -1 and not crowd[found] and crowd[g]:
                    break
                low, high = (
                    np.maximum(said[d, :2], true[g, :2]),
                    np.minimum(said[d, 2:], true[g, 2:]),
                )
                common = np.prod((high - low).clip(0))
                area, other = (np.prod(box[2:] - box[:2]) for box in (said[d], true[g]))
                whole = area if crowd[g] else area + other - common
                overlap = common / whole if whole else 0.0
                if overlap >= best:
                    best, found = overlap, g
            if found == -1 or not crowd[found]:
                hits.append((float(scores[d]), found > -1))
                taken.add(found)
    return hits, objects


@CASES
@given(cases(), st.sampled_from([0, 4, 9]), st.integers(0, 2**32 - 1))
def test_it_equals_the_published_algorithm(case: Case, level: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true: list[Any] = []
    for objects, labels, _ in case.true:
        crowd = rng.random(len(labels)) < 0.3
        grown = np.where(crowd[:, None], objects + np.array([-9, -9, 9, 9]), objects)
        true.append((grown, labels, np.zeros(len(labels), bool), crowd))
    marked = Case(case.said, true)
    each = []
    for label in range(4):
        hits, count = by_the_published_algorithm(marked, COCO_IOUS[level], label)
        if count:
            each.append(area_or_mean(hits, count, 101) if hits else 0.0)
    expected = 100 * float(np.mean(each)) if each else float("nan")
    assert at_level(filled(marked), level) == pytest.approx(expected, nan_ok=True)


def at_level(metric: CocoBoxes, level: int) -> float:
    """The mean AP in percent at one of COCO's ten IoUs."""
    scene = gather_scene(metric.said, metric.true)
    curves = coco_curves(scene, find_pairs(scene, metric.shape, 0.5), 100).values()
    ones = np.ones((1, scene.number))
    each = [box_average_precision(c, ones, (COCO_RECALLS,))[0][0, level] for c in curves]
    return float(np.mean(each) * 100) if each else float("nan")


def filled(case: Case) -> CocoBoxes:
    metric = CocoBoxes(CLASSES, count_difficult=True)
    for (said, scores, names), (true, labels, difficult, crowd) in zip(*case, strict=True):
        corners = torch.from_numpy(from_horizontal(true))
        ids, skip, region = (torch.from_numpy(np.asarray(x)) for x in (labels, difficult, crowd))
        target = Boxes(corners, ids, skip, crowd=region)
        metric.update(Detections(from_horizontal(said), scores, names), target, "key")
    return metric


def test_the_metric_keeps_crowds_in_its_state_and_reads_older_states() -> None:
    truth = [tuple(np.asarray(x) for x in MARKED[0])]
    metric = filled(Case([tuple(np.asarray(x) for x in ONE[0])], truth))
    assert metric.scores()["ap50"] == metric.scores()["ap50_voc12"] == 100
    assert metric.fresh().restored(metric.state()).scores() == metric.scores()
    older = {name: x for name, x in metric.state().items() if name != "true.crowd"}
    assert metric.fresh().restored(older).scores()["ap50"] < 20


def test_the_truth_with_crowds_gives_100() -> None:
    corners = torch.from_numpy(from_horizontal(boxes(FOUND, REGION)))
    flags = torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.bool)
    target = Boxes(corners, *flags, crowd=torch.tensor([False, True]))
    for count_difficult in (False, True):
        metric_self_test.check_metric(CocoBoxes(CLASSES, count_difficult), [("", target)])
    assert target.where(~target.crowds).labels.tolist() == [0]
