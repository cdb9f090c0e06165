"""Detection: the recipes, and what else the tasks of horizontal and oriented boxes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from skybench.core import DatasetCard, Head, Metric, ModelCard, Protocol, Recipe, Task
from skybench.training.recipe_check import HeadSettings, check_settings

if TYPE_CHECKING:
    from skybench.metrics.horizontal_boxes import CocoBoxes

# Epochs are those of SkySense's recipe for DIOR (mmdetection, batch of 8), repeated on small sets.
# Only the head learns, at a rate that is chosen by a short training with each: see docs/log.md,
# 2026-11-30. No validation split is read.
FROZEN = Recipe(
    "frozen",
    val="",
    epochs=12,
    min_steps=500,
    batch=8,
    lr=3e-4,
    rates=("1e-4", "3e-4", "1e-3"),
    weight_decay=0.05,
    width=256,
    source="ours: the paper's head and 12 epochs on frozen features, at least 500 steps; "
    "learning rate chosen on held-out training data",
)
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=12,
    batch=8,
    lr=1e-4,
    weight_decay=0.05,
    width=256,
    schedule="step",
    warm_up=0.1,
    layer_decay=0.9,
    drop_path=0.1,
    augment=("flip", "vflip"),
    source="ours: generic, for data sets without a recipe of their own; rates and epochs after "
    "SkySense's for DIOR",
)
BuildHead = Callable[[Recipe, ModelCard, DatasetCard], Head]


def detection_task(
    name: str,
    detector: str,
    head: BuildHead,
    metric: Callable[[DatasetCard], Metric],
    version: int = 1,
) -> Task:
    """Return a task of detection; detector: the head's name, for the texts of the protocols."""
    frozen = f"{detector} on the frozen feature pyramid"
    tuned = (
        f"{detector}; the backbone learns too, with layer-wise decay, drop path and augmentation"
    )
    return Task(
        name=name,
        title=name.replace("_", " ").capitalize(),
        time="fuse",
        level="pyramid",
        protocols={
            "frozen": Protocol("frozen", False, "pyramid", frozen),
            "finetune": Protocol("finetune", True, "pyramid", tuned),
        },
        head=head,
        check=check,
        metric=metric,
        recipes=partial(recipes, name),
        version=version,
    )


def check(recipe: Recipe, dataset: DatasetCard) -> None:
    """Raise UsageError for a head, a loss or settings that detection does not have."""
    check_settings(recipe, HeadSettings(optional=("augment",)), f"{recipe.protocol} detection")


def recipes(task: str, dataset: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    """Return a recipe for each column; on demo data with a narrow head and few steps."""
    generic = FINETUNE if protocol == "finetune" else replace(FROZEN, protocol=protocol)
    setup = dataset.setup(task)
    recipe = setup.recipe(protocol, generic)
    return setup.expand(shrink_detector(recipe) if demo else recipe, demo)


def shrink_detector(recipe: Recipe) -> Recipe:
    """Return a recipe for demo data: a narrow head, few steps, images enlarged to 256 pixels.

    Objects of demo data are smaller than the smallest anchor at the images' own size.
    """
    recipe = replace(
        recipe, size=256, tile=0, iterations=0, min_steps=0, max_steps=0, rates=(),
    )  # fmt: skip
    if recipe.protocol != "finetune":  # single images: more steps for the same work
        return replace(recipe, epochs=3, batch=1, lr=2e-3, width=32)
    return replace(recipe, epochs=5, batch=2, lr=1e-3, width=64, warm_up=0.1, drop_path=0.0)


def merge_if_tiled(boxes: CocoBoxes, task: str, dataset: DatasetCard, nms: float) -> Metric:
    """Return a metric of whole images where the setup says that samples are tiles of them.

    nms: IoU above which the weaker of two detections of different tiles is suppressed.
    """
    from .merged_tiles import MergedTiles

    return MergedTiles(boxes, nms) if dataset.setup(task).merge_tiles else boxes
