"""Semantic segmentation: a class for each pixel, by mean IoU or mean F1."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import (
    CannotRun,
    DatasetCard,
    Head,
    Metric,
    ModelCard,
    ProtocolName,
    Recipe,
    Task,
)

# The paper scores iSAID by mIoU over 16 classes with the background, Potsdam by mean F1.
MAIN = {"potsdam": "mf1"}
BACKGROUND = ("isaid",)
TESTS = {"isaid": "val"}  # the labels of its test split are withheld
# The official fine-tuning takes 80,000 iterations (protocols.csv); on frozen, cached features
# far fewer suffice. These are ours. Nothing is selected, so no validation split is read.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=512)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)


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
    return Segmentation(dataset.classes, main, background=dataset.name in BACKGROUND)


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset; on demo data small tiles, a narrow head and few steps."""
    recipe = FROZEN if protocol == "frozen" else LINEAR
    recipe = replace(recipe, protocol=protocol, test=TESTS.get(dataset.name, "test"))
    if demo:
        recipe = replace(recipe, epochs=12, batch=4, tile=256, width=min(recipe.width, 32))
    return (recipe,)


TASK = Task(
    name="semantic_segmentation",
    title="Semantic segmentation",
    time="fuse",
    level="pyramid",
    protocols={
        "linear": "a 1x1 convolution on the frozen feature pyramid",
        "frozen": "UPerNet with an FCN auxiliary head on the frozen feature pyramid",
    },
    head=head,
    metric=metric,
    recipes=recipes,
)
