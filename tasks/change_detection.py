"""Change detection: which pixels changed between two dates, or the land cover of each date.

A mask for a pair of dates is scored by F1 of the change class; masks of all dates of a series
(semantic change) by the semantic change score (SCS).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from skybench.core import DatasetCard, Head, Metric, ModelCard, Protocol, Recipe, Task
from skybench.training.recipe_check import HeadSettings, check_settings

from ._recipes import segmentation
from ._recipes.segmentation import DENSE, LINEAR, PROBE, require_feature_maps, shrink_for_demo

if TYPE_CHECKING:
    from torch import nn

    from skybench.heads.decoders import Levels

NAME = "change_detection"
DEMO_TILE = 128
PROTOCOLS = (
    Protocol(
        name="linear",
        trains_backbone=False,
        level="pyramid",
        text="a 1x1 convolution on the difference of the frozen feature pyramids; on each date "
        "for semantic change",
    ),
    Protocol(
        name="frozen",
        trains_backbone=False,
        level="pyramid",
        text="a UNet on the difference of the frozen feature pyramids; UPerNet on each date for "
        "semantic change",
    ),
    Protocol(
        name="finetune",
        trains_backbone=True,
        level="pyramid",
        text="a UNet on the difference of two dates' pyramids; UPerNet on each date for "
        "semantic change; the backbone learns too, with layer-wise decay, drop path and "
        "augmentation",
    ),
)
# The head is the one of MTP's recipes (seen); the paper's BIT for LEVIR-CD is unverified. The
# schedule is ours: MTP fine-tunes for 100 to 150 epochs.
FROZEN = replace(segmentation.FROZEN, width=256)  # trained as the head of segmentation is
SERIES_BATCH = 2  # of frozen features for semantic change: series are long
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=100,
    batch=8,
    lr=6e-5,
    weight_decay=0.05,
    width=256,
    schedule="cosine",
    warm_up=0.05,
    layer_decay=0.9,
    drop_path=0.1,
    augment=("rotflip=20", "exchange=0.5", "photometric=10,0.8,1.2,0.8,1.2,10"),
    source="ours: generic, for data sets without a recipe of their own; rates and augmentation "
    "after MTP's for LEVIR-CD",
)


def is_semantic(dataset: DatasetCard) -> bool:
    """Return whether the target is a mask of each date (semantic change), not of the change."""
    target = dataset.setup(NAME).target or dataset.target
    return target is not None and target.kind == "masks"


# Beside the usual head and loss of each protocol; semantic change has those of segmentation.
PAIR = HeadSettings(
    ("unet", "unet-mtp", "bit", "linear"), ("all-pixels",), ("smoothing", "augment")
)


def check(recipe: Recipe, dataset: DatasetCard) -> None:
    """Raise UsageError for a head, a loss or settings that change detection does not have."""
    semantic = is_semantic(dataset)
    known = PROBE if recipe.protocol == "linear" else DENSE if semantic else PAIR
    what = "semantic change detection" if semantic else "change detection"
    check_settings(recipe, known, f"{recipe.protocol} {what}")


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return a pixel classifier on the difference of two dates, or on each date of a series."""
    from skybench.heads.decoders import DECODERS, DateDifference, EachDate
    from skybench.heads.dense import Dense, classify

    require_feature_maps(model)
    check(recipe, dataset)
    semantic = is_semantic(dataset)
    usual = "linear" if recipe.protocol == "linear" else "upernet" if semantic else "unet"
    wrap: type[nn.Module] = EachDate if semantic else DateDifference

    def build(levels: Levels, classes: int, width: int) -> nn.Module:
        if recipe.head == "bit":
            from skybench.heads.bit import BIT

            return BIT(levels, classes, width)
        return wrap(DECODERS[recipe.head or usual](levels, classes, width))

    return Dense(build, model.levels, len(dataset.classes), recipe, classify(recipe=recipe))


def metric(dataset: DatasetCard) -> Metric:
    """Return F1 of change, or the semantic change score."""
    from skybench.metrics.change import Change
    from skybench.metrics.semantic_change import SemanticChange

    return SemanticChange(dataset.classes) if is_semantic(dataset) else Change()


def recipes(dataset: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    """Return a recipe for each column; on demo data with small tiles, a narrow head, few steps."""
    setup = dataset.setup(NAME)
    recipe = setup.recipe(protocol, _generic(protocol, is_semantic(dataset)))
    return setup.expand(shrink_for_demo(recipe, DEMO_TILE) if demo else recipe, demo)


def _generic(protocol: str, semantic: bool) -> Recipe:
    if protocol == "finetune":
        return FINETUNE
    recipe = replace(LINEAR if protocol == "linear" else FROZEN, protocol=protocol)
    return replace(recipe, batch=SERIES_BATCH) if semantic else recipe


TASK = Task(
    name=NAME,
    title="Change detection",
    time="keep",
    level="pyramid",
    protocols={protocol.name: protocol for protocol in PROTOCOLS},
    head=head,
    check=check,
    metric=metric,
    recipes=recipes,
    version=2,
    views=True,
)
