"""Horizontal detection: a class and an upright box for each object, by average precision."""

from __future__ import annotations

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe, Task

from ._recipes import detection

NMS = 0.5  # between tiles, as Faster R-CNN within one


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Faster R-CNN with a feature pyramid."""
    from skybench.heads.faster_rcnn import faster_rcnn

    detection.require_maps(model)
    return faster_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """COCO's AP at IoU 0.5 and others from the same boxes; difficult objects count like any.

    Detections on tiles are brought together on whole images.
    """
    from skybench.metrics.horizontal_boxes import CocoBoxes

    from ._recipes.merged_tiles import MergedTiles

    boxes = CocoBoxes(dataset.classes, count_difficult=True)
    return MergedTiles(boxes, NMS) if dataset.name in detection.TILED else boxes


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """Training on trainval, scores on test; on demo data a narrow head and few steps."""
    recipe = detection.base(protocol, dataset)
    return (detection.demo(recipe) if demo else recipe,)


TASK = Task(
    name="horizontal_detection",
    title="Horizontal detection",
    time="fuse",
    level="pyramid",
    protocols=detection.protocols("Faster R-CNN with FPN"),
    head=head,
    metric=metric,
    recipes=recipes,
)
