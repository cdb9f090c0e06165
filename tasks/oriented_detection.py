"""Oriented detection: a class and a rotated box for each object, by average precision."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe, Task

from ._recipes import detection

NMS = 0.1  # between tiles; open-mmlab/mmrotate@0724acc: DOTADataset.merge_det


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Oriented R-CNN."""
    from skybench.heads.oriented_rcnn import oriented_rcnn

    detection.require_maps(model)
    return oriented_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """VOC's 11-point AP at a rotated IoU of 0.5 and others from the same boxes.

    Difficult objects count like any; detections on tiles are brought together on whole images.
    """
    from skybench.metrics.rotated_boxes import RotatedBoxes

    from ._recipes.merged_tiles import MergedTiles

    boxes = RotatedBoxes(dataset.classes, count_difficult=True)
    return MergedTiles(boxes, NMS) if dataset.name in detection.TILED else boxes


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """DIOR-R: trainval to test; FAIR1M, whose test boxes are withheld: train to val, in tiles.

    The published numbers of FAIR1M are for the test images, scored by the server.
    """
    recipe = detection.base(protocol, dataset)
    recipe = detection.demo(recipe) if demo else recipe
    if dataset.name != "fair1m":
        return (recipe,)
    recipe = replace(recipe, train="train", test="val", size=0, tile=dataset.tile)
    return (replace(recipe, tile=160, size=256, epochs=3) if demo else recipe,)


TASK = Task(
    name="oriented_detection",
    title="Oriented detection",
    time="fuse",
    level="pyramid",
    protocols=detection.protocols("Oriented R-CNN"),
    head=head,
    metric=metric,
    recipes=recipes,
)
