"""Simulated rotated objects, some annotated twice, and mmrotate's rule, detection by detection."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_corners
from skybench.core import Boxes
from skybench.metrics.horizontal_boxes import CocoBoxes

CASES = settings(max_examples=40, deadline=None, derandomize=True, database=None)
CLASSES = ("ship", "plane", "court")


class Case(NamedTuple):
    """For each image (boxes [n, 5], scores, labels), and (boxes, labels, difficult)."""

    said: list[tuple[Any, ...]]
    true: list[tuple[Any, ...]]


@st.composite
def cases(draw: st.DrawFn, turned: bool = True) -> Case:
    """Crowded objects, some annotated twice, and detections near them, some just so."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise, share = draw(st.sampled_from([0.0, 0.5, 2.0])), draw(st.sampled_from([0.0, 0.5]))
    case = Case([], [])
    for _ in range(draw(st.integers(1, 4))):
        count = int(rng.integers(0, 8))
        sides = rng.uniform(4, 20, (count, 2))
        angles = rng.uniform(-2, 2, (count, 1)) * turned
        boxes = np.column_stack([rng.uniform(-5, 40, (count, 2)), sides, angles])
        labels = rng.integers(0, 3, count)
        rows = np.append(np.arange(count), np.flatnonzero(rng.random(count) < share))
        case.true.append((boxes[rows], labels[rows], rng.random(len(rows)) < 0.2))
        some = rng.integers(0, max(count, 1), 2 * count)
        moved = boxes[some] + rng.normal(0, noise, (2 * count, 5)) * [1, 1, 1, 1, 0.1 * turned]
        moved[:, 2:4] = moved[:, 2:4].clip(1)
        case.said.append((moved, rng.random(2 * count), labels[some]))
    return case


def target(boxes: np.ndarray, labels: Any, difficult: Any) -> Boxes:
    corners, ids, skip = map(torch.as_tensor, (to_corners(boxes), labels, difficult))
    return Boxes(corners, ids, skip)


def filled(case: Case, metric: CocoBoxes) -> CocoBoxes:
    for (boxes, scores, labels), (objects, names, difficult) in zip(*case, strict=True):
        said = Detections(to_corners(boxes), scores, labels)
        metric.update(said, target(objects, names, difficult))
    return metric


def judge(
    case: Case, label: int, iou: float, doubles: bool
) -> tuple[list[tuple[float, bool]], int]:
    """Of one class (score, right) of each detection and the number of objects, by mmrotate's rule.

    Objects that count come before the difficult ones. With doubles, one that is annotated k times
    is found k times. Overlaps are shapely's.
    """
    shapely = pytest.importorskip("shapely")
    hits: list[tuple[float, bool]] = []
    objects = 0
    for (boxes, scores, labels), (true, names, difficult) in zip(*case, strict=True):
        own = np.flatnonzero(names == label)
        own = own[np.argsort(difficult[own], kind="stable")]
        polygons = [shapely.Polygon(p) for p in to_corners(true[own])]
        skip = difficult[own]
        objects += (~skip).sum()
        taken: list[int] = []
        times = [(true[own[~skip]] == box).all(1).sum() if doubles else 1 for box in true[own]]
        order = np.flatnonzero(labels == label)[np.argsort(-scores[labels == label])]
        for corners, score in zip(to_corners(boxes[order]), scores[order], strict=True):
            mine = shapely.Polygon(corners)
            overlaps = [mine.intersection(p).area / mine.union(p).area for p in polygons]
            best = int(np.argmax(overlaps)) if overlaps else -1
            if not overlaps or overlaps[best] < iou:
                hits.append((score, False))
            elif not skip[best]:
                hits.append((score, taken.count(best) < times[best]))
                taken.append(best)
    return hits, objects


def loop(case: Case, iou: float, points: int, doubles: bool = False) -> float:
    """The mean AP in percent."""
    each = []
    for label in range(3):
        hits, objects = judge(case, label, iou, doubles)
        if not objects:
            continue
        right = np.cumsum([hit for _, hit in sorted(hits, key=lambda hit: -hit[0])])
        share, recall = right / np.arange(1, len(right) + 1), right / objects
        if points:
            at = np.arange(0, 1.001, 0.1)
            each.append(np.mean([max(share[recall >= r], default=0) for r in at]))
        else:
            steps = np.diff(recall, prepend=0)
            each.append(sum(step * share[i:].max() for i, step in enumerate(steps)))
    return float(np.mean(each) * 100) if each else float("nan")


def repeats(case: Case) -> int:
    """The number of countable objects that repeat one of their class and image."""
    left = 0
    for boxes, labels, difficult in case.true:
        rows = np.column_stack([boxes, labels])[~difficult]
        left += len(rows) - len(np.unique(rows, axis=0))
    return left
