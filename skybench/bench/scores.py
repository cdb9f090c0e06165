"""Scores and their uncertainty at the size of published test sets, beside peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skybench.analysis.intervals import uncertainty
from skybench.bench.boxes import made_scenes
from skybench.bench.timing import Form, Timing, installed, judged_at_full, time_alone, time_beside
from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_corners
from skybench.core import Boxes, Metric
from skybench.core.sample import IGNORE
from skybench.metrics.horizontal_boxes import CocoBoxes
from skybench.metrics.multilabel import MultiLabel
from skybench.metrics.segmentation import Segmentation

CLASSES = 16
MAPS = {"tiny": (2, 16), "short": (8, 512), "full": (8, 512)}  # maps and their side
LABELS = {"tiny": 40, "short": 12_587, "full": 125_866}  # BigEarthNet's official test images
SCENES = {"tiny": 12, "short": 1_000, "full": 11_738}  # DIOR's test images
OBJECTS = 12  # detections an image, half as many objects; DIOR has 10.6 objects an image
MAPS_MUST, REAL_SIZE_MUST = ">= 25", "<= 20"


def time_scores(form: Form) -> Iterator[Timing]:
    """Yield mIoU beside torchmetrics, and the uncertainty of multi-label AP and of box AP.

    Uncertainty: the intervals of all scores and the main score's paired replicates, as a record
    has them.
    """
    yield _maps(*MAPS[form])
    metric, count = _labels(LABELS[form]), LABELS[form]
    yield judged_at_full(
        time_alone(
            f"uncertainty of {count:,} images with 19 labels",
            _uncertainty(metric, count),
            rounds=1,
            must=REAL_SIZE_MUST,
        ),
        form,
    )
    boxes, count = _boxes(SCENES[form]), SCENES[form]
    what = f"uncertainty of box AP, {count:,} images, {count * OBJECTS:,} detections"
    yield time_alone(what, _uncertainty(boxes, count), rounds=1)


def _maps(count: int, side: int) -> Timing:
    rng = np.random.default_rng(0)
    true = rng.integers(0, CLASSES, (count, side, side)).astype(np.uint8)
    said = np.where(rng.random(true.shape) < 0.7, true, (true + 1) % CLASSES).astype(np.uint8)
    true[rng.random(true.shape) < 0.05] = IGNORE
    whole = [torch.from_numpy(x.astype(np.int64)) for x in (said, true)]
    names = tuple(map(str, range(CLASSES)))

    def ours() -> Any:
        metric = Segmentation(names, "miou")
        for one, other in zip(said, true, strict=True):
            metric.update(one, other)
        return metric.scores()

    def theirs() -> Any:
        from torchmetrics.classification import MulticlassJaccardIndex

        metric = MulticlassJaccardIndex(num_classes=CLASSES, ignore_index=IGNORE)
        for one, other in zip(*whole, strict=True):
            metric.update(one[None], other[None])
        return metric.compute()

    what = f"mIoU, {count} maps of {side} x {side}, {CLASSES} classes"
    return time_beside(what, ours, installed("torchmetrics", theirs), 5, MAPS_MUST)


def _uncertainty(metric: Metric, count: int) -> Callable[[], Any]:
    keys = [f"{i:06d}" for i in range(count)]
    return lambda: uncertainty([metric], keys, keys)


def _labels(count: int) -> Metric:
    """Scores of 19 classes, of which an image has three on average, as BigEarthNet's have."""
    rng = np.random.default_rng(0)
    share = np.geomspace(0.45, 0.02, 19)
    true = rng.random((count, 19)) < share
    said = 2 * true + rng.normal(0, 1, (count, 19))
    metric = MultiLabel(tuple(map(str, range(19))), 0)
    for one, other in zip(said.astype(np.float32), true.astype(np.uint8), strict=True):
        metric.update(one, other)
    return metric


def _boxes(count: int) -> Metric:
    found, truth = made_scenes(count, OBJECTS, 20, np.asarray)
    metric = CocoBoxes(tuple(map(str, range(20))))
    for said, true in zip(found, truth, strict=True):
        metric.update(*_as_boxes(said, true))
    return metric


def _as_boxes(said: Sequence[Any], true: Sequence[Any]) -> tuple[Detections, Boxes]:
    """An image's detections and its truth as the metric has them."""
    boxes, scores, names = said
    corners: NDArray[Any] = to_corners(true[0])
    truth = torch.from_numpy(corners.astype(np.float32)), torch.from_numpy(true[1])
    easy = torch.zeros(len(corners), dtype=torch.bool)
    return Detections(to_corners(boxes), scores, names), Boxes(*truth, easy, (800, 800))
