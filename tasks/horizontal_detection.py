"""Horizontal detection: a class and an upright box for each object, by average precision."""

from __future__ import annotations

from skybench.core import DatasetCard, Head, Metric, ModelCard, Recipe

from ._recipes import detection
from ._recipes.segmentation import require_feature_maps

NAME = "horizontal_detection"
NMS = 0.5  # IoU between tiles, as Faster R-CNN has it within a tile


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return Faster R-CNN with a feature pyramid network."""
    from skybench.heads.faster_rcnn import faster_rcnn

    require_feature_maps(model)
    detection.check(recipe, dataset)
    return faster_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """Return COCO's AP at IoU 0.5 and others; difficult objects count like any."""
    from skybench.metrics.horizontal_boxes import CocoBoxes

    boxes = CocoBoxes(dataset.classes, count_difficult=True)
    return detection.merge_if_tiled(boxes, NAME, dataset, NMS)


# 2: no clipping of gradients; of VOC's scores, one detection is a hit of an object that is
# annotated several times.
TASK = detection.detection_task(NAME, "Faster R-CNN with FPN", head, metric, version=2)
