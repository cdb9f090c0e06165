"""Horizontal detection: a class and an upright box for each object, by average precision."""

from __future__ import annotations

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe, Task

from . import _detection


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Faster R-CNN with a feature pyramid."""
    from skybench.heads.faster_rcnn import faster_rcnn

    _detection.require_maps(model)
    return faster_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """COCO's AP at IoU 0.5 and others from the same boxes; difficult objects count like any."""
    from skybench.metrics.boxes import CocoBoxes

    return CocoBoxes(dataset.classes, count_difficult=True)


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """Training on trainval, scores on test; on demo data a narrow head and few steps."""
    return (_detection.demo(_detection.FROZEN) if demo else _detection.FROZEN,)


TASK = Task(
    name="horizontal_detection",
    title="Horizontal detection",
    time="fuse",
    level="pyramid",
    protocols={"frozen": "Faster R-CNN with FPN on the frozen feature pyramid"},
    head=head,
    metric=metric,
    recipes=recipes,
)
