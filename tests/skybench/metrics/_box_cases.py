"""Simulated objects and detections, and the definitions of the scores, detection by detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes
from skybench.metrics.horizontal_boxes import CocoBoxes, coco_ap, horizontal_iou

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)
CLASSES = ("field", "wood", "water", "town")

Arrays = tuple[np.ndarray, ...]
Row = tuple[float, ...]


class Case(NamedTuple):
    """For each image (boxes, scores, labels), and (boxes, labels, difficult)."""

    said: Sequence[Arrays]
    true: Sequence[Arrays]


def simulated(seed: int, images: int, crowd: int = 8, levels: int = 0, classes: int = 4) -> Case:
    """Objects and detections near them; scores have `levels` values, or all differ.

    RandomState, because its numbers never change: some are compared with stored scores.
    """
    rng = np.random.RandomState(seed)
    said, true = [], []
    for _ in range(images):
        count = rng.randint(0, crowd)
        at = rng.uniform(-10, 60, (count, 2))
        boxes = np.concatenate([at, at + rng.uniform(4, 30, (count, 2))], 1)
        labels = rng.randint(0, classes, count)
        true.append((boxes, labels, rng.uniform(size=count) < 0.2))
        some = rng.randint(0, max(count, 1), rng.randint(0, 3 * crowd) if count else 0)
        moved = boxes[some] + rng.normal(0, 1, (len(some), 4)) * rng.choice([0, 1.5, 6])
        moved = np.concatenate([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2])], 1)
        named = np.where(rng.uniform(size=len(some)) < 0.8, labels[some], 0)
        scores = rng.uniform(size=len(some))
        said.append((moved, np.round(scores * levels) / levels if levels else scores, named))
    return Case(said, true)


@st.composite
def cases(draw: st.DrawFn, levels: tuple[int, ...] = (0, 3)) -> Case:
    """Simulated objects, of which some may be annotated twice."""
    seed, images = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 6))
    crowd, level = draw(st.sampled_from([2, 8])), draw(st.sampled_from(levels))
    case = simulated(seed, images, crowd, level)
    return draw(st.sampled_from([case, doubled(case)]))


def doubled(case: Case) -> Case:
    """With every other object once more, at the end."""
    again = [np.append(np.arange(len(one[1])), np.arange(len(one[1]))[::2]) for one in case.true]
    return Case(
        case.said, [tuple(x[i] for x in one) for one, i in zip(case.true, again, strict=True)]
    )


def of_class(case: Case, label: int, count_difficult: bool) -> Any:
    """For each image the boxes by falling score, their scores, the objects and which count."""
    for (boxes, scores, labels), (objects, names, difficult) in zip(*case, strict=True):
        order = np.argsort(-scores[labels == label], kind="stable")
        counts = ~difficult[names == label] | count_difficult
        yield (
            boxes[labels == label][order],
            scores[labels == label][order],
            objects[names == label],
            counts,
        )


def area_or_mean(hits: list[tuple[float, bool]], objects: int, points: int) -> float:
    """AP of detections (score, right) in order of images, by the definition."""
    ordered = sorted(hits, key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in ordered])
    share = right / np.arange(1, len(right) + 1)
    recall = right / objects
    if points:
        at = np.linspace(0, 1, 101) if points == 101 else np.arange(0, 1.001, 0.1)
        return float(np.mean([max(share[recall >= r], default=0) for r in at]))
    steps = np.diff(recall, prepend=0)
    return float(sum(step * max(share[i:]) for i, step in enumerate(steps) if step))


def loop(case: Case, rule: str, iou: float, points: int, count_difficult: bool) -> float:
    """The mean AP in percent at one IoU, detection by detection."""
    each = []
    for label in range(4):
        hits: list[tuple[float, bool]] = []
        objects = 0
        for boxes, scores, true, counts in of_class(case, label, count_difficult):
            objects += counts.sum()
            taken = np.zeros(len(true), bool)
            for box, score in zip(boxes[:100] if rule == "coco" else boxes, scores, strict=False):
                overlaps = horizontal_iou(np.repeat(box[None], len(true), 0), true)
                if rule == "coco":
                    free = (overlaps >= iou) & counts & ~taken
                    fits = free if free.any() else (overlaps >= iou) & ~counts
                    best = np.where(fits, overlaps, -1)
                    found = len(best) - 1 - int(best[::-1].argmax()) if fits.any() else None
                else:
                    preferred = overlaps + 1e-12 * counts
                    ok = len(true) and overlaps[preferred.argmax()] >= iou
                    found = int(preferred.argmax()) if ok else None
                if found is None:
                    hits.append((score, False))
                elif counts[found]:
                    hits.append((score, not taken[found]))
                    taken[found] = True
        if objects:
            each.append(area_or_mean(hits, objects, points))
    return float(np.mean(each) * 100) if each else float("nan")


def filled(case: Case, metric: CocoBoxes | None = None) -> CocoBoxes:
    found = metric or CocoBoxes(CLASSES)
    for (boxes, scores, labels), (objects, names, difficult) in zip(*case, strict=True):
        target = Boxes(
            torch.from_numpy(from_horizontal(objects)),
            torch.from_numpy(names),
            torch.from_numpy(difficult),
        )
        found.update(Detections(from_horizontal(boxes), scores, labels), target, "key")
    return found


def boxes(*rows: Row) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


NONE: tuple[Any, ...] = (np.zeros((0, 4)), [], [])
HIT = boxes((0, 0, 10, 10))


def scored(said: Sequence[Row], true: Sequence[Row], **given: Any) -> float:
    """AP50 of one image of one class; said: (x0, y0, x1, y1, score)."""
    found = np.array(said, np.float64).reshape(-1, 5)
    none = np.zeros(len(found), int)
    return coco_ap(
        [(found[:, :4], found[:, 4], none)], [(boxes(*true), np.zeros(len(true), int))], **given
    )["ap50"]
