"""What the tasks that give every pixel a class share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import (
    CannotRun,
    DatasetCard,
    Head,
    Metric,
    ModelCard,
    ProtocolName,
    Recipe,
)

# Potsdam is scored by mean F1, PASTIS by overall accuracy, all others by mean IoU.
MAIN = {"potsdam": "mf1", "pastis_mm": "oa"}
BACKGROUND = ("isaid", "pastis_mm")  # class 0 is a background that some papers leave out
PROTOCOLS: Mapping[ProtocolName, str] = {
    "linear": "a 1x1 convolution on the frozen feature pyramid",
    "frozen": "UPerNet with an FCN auxiliary head on the frozen feature pyramid",
    "finetune": "the same head; the backbone learns too, with layer-wise decay and augmentation",
}
# The official fine-tuning of iSAID takes 80,000 iterations (protocols.csv); on frozen, cached
# features far fewer suffice. These are ours. Nothing is selected, so no validation split is read.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=512)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)
FINETUNE = Recipe(
    "finetune",
    val="",
    iterations=80_000,
    batch=16,
    lr=6e-5,
    weight_decay=0.01,
    width=512,
    schedule="poly",
    warm_up=1500,
    layer_decay=0.9,
    augment=("resize_crop=0.5,2,0.75", "flip", "photometric"),
    source="after SkySense's upernet_swinv2_huge_patch4_window8_896x896_80k_isaid.py (official for "
    "isaid, seen), without its drop path",
)
RECIPES = {"frozen": FROZEN, "linear": LINEAR, "finetune": FINETUNE}


def demo(recipe: Recipe, tile: int) -> Recipe:
    """Small tiles, a narrow head, few steps."""
    width = min(recipe.width, 32)
    recipe = replace(recipe, epochs=12, iterations=0, batch=2, tile=tile, width=width)
    if recipe.protocol != "finetune":
        return recipe
    return replace(recipe, lr=1e-3, warm_up=0.1)


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """A 1x1 convolution (linear) or UPerNet with an FCN auxiliary head (frozen)."""
    from skybench.heads.dense import Dense, Linear, UPerNet

    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
    build = Linear if recipe.protocol == "linear" else UPerNet
    return Dense(build, model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """mIoU, mF1 and OA from one confusion matrix per image."""
    from skybench.metrics.segmentation import Segmentation

    main = MAIN.get(dataset.name, "miou")
    background = dataset.name in BACKGROUND and dataset.classes[0] == "background"
    return Segmentation(dataset.classes, main, background=background)
