"""Oriented detection: a class and a rotated box for each object, by average precision."""

from __future__ import annotations

from skybench.core import DatasetCard, Head, Metric, ModelCard, Recipe

from ._recipes import detection
from ._recipes.segmentation import require_feature_maps

NAME = "oriented_detection"
NMS = 0.1  # rotated IoU between tiles; open-mmlab/mmrotate@0724acc: DOTADataset.merge_det


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return Oriented R-CNN."""
    from skybench.heads.oriented_rcnn import oriented_rcnn

    require_feature_maps(model)
    detection.check(recipe, dataset)
    return oriented_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """Return VOC's 11-point AP at a rotated IoU of 0.5 and others; difficult objects count."""
    from skybench.metrics.rotated_boxes import RotatedBoxes

    boxes = RotatedBoxes(dataset.classes, count_difficult=True)
    return detection.merge_if_tiled(boxes, NAME, dataset, NMS)


# 2: of rectangles of equal area around four points, the one on the first side is taken.
# 3: one detection is a hit of an object that is annotated several times; no clipping of gradients.
TASK = detection.detection_task(NAME, "Oriented R-CNN", head, metric, version=3)
