"""Oriented detection: a class and a rotated box for each object, by average precision."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe, Task

from . import _detection

TILED = ("fair1m",)  # what is read are tiles of larger images


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Oriented R-CNN."""
    from skybench.heads.oriented_rcnn import oriented_rcnn

    _detection.require_maps(model)
    return oriented_rcnn(model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """VOC's 11-point AP at a rotated IoU of 0.5 and others from the same boxes.

    Difficult objects count like any; detections on tiles are brought together on whole images.
    """
    from skybench.metrics.rotated_boxes import RotatedBoxes

    from ._merged_tiles import MergedTiles

    boxes = RotatedBoxes(dataset.classes, count_difficult=True)
    return MergedTiles(boxes) if dataset.name in TILED else boxes


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """DIOR-R: trainval to test; FAIR1M, whose test boxes are withheld: train to val, in tiles.

    The published numbers of FAIR1M are for the test images, scored by the server.
    """
    recipe = _detection.demo(_detection.FROZEN) if demo else _detection.FROZEN
    if dataset.name not in TILED:
        return (recipe,)
    recipe = replace(recipe, train="train", test="val", size=0, tile=dataset.tile)
    return (replace(recipe, tile=160, size=256, epochs=4) if demo else recipe,)


TASK = Task(
    name="oriented_detection",
    title="Oriented detection",
    time="fuse",
    level="pyramid",
    protocols={"frozen": "Oriented R-CNN on the frozen feature pyramid"},
    head=head,
    metric=metric,
    recipes=recipes,
)
