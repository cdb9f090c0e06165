"""Segmentation: the heads, the metric and the recipes of the tasks that give each pixel a class."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from skybench.core import (
    IGNORE,
    CannotRun,
    DatasetCard,
    Head,
    Metric,
    ModelCard,
    Protocol,
    Recipe,
    Task,
)

PROTOCOLS = (
    Protocol(
        name="linear",
        trains_backbone=False,
        level="pyramid",
        text="a 1x1 convolution on the frozen feature pyramid",
    ),
    Protocol(
        name="frozen",
        trains_backbone=False,
        level="pyramid",
        text="UPerNet with an FCN auxiliary head on the frozen feature pyramid",
    ),
    Protocol(
        name="finetune",
        trains_backbone=True,
        level="pyramid",
        text="UPerNet with an FCN auxiliary head; the backbone learns too, with layer-wise "
        "decay, drop path and augmentation",
    ),
)
# The official fine-tuning of iSAID takes 80,000 iterations; on frozen, cached features far fewer
# suffice. These two are ours. Nothing is selected, so no validation split is read.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=512)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=50,
    batch=8,
    lr=6e-5,
    weight_decay=0.01,
    width=512,
    schedule="poly",
    warm_up=0.05,
    layer_decay=0.9,
    drop_path=0.1,
    augment=("resize_crop=0.5,2,0.75", "flip", "vflip", "photometric"),
    source="ours: generic, for data sets without a recipe of their own; rates, schedule and "
    "augmentation after SkySense's for iSAID, for 50 epochs",
)


def segmentation_task(name: str, title: str, demo_tile: int, version: int = 1) -> Task:
    """Return a task that gives each pixel a class; `demo_tile`: side of tiles on demo data."""
    return Task(
        name=name,
        title=title,
        time="fuse",
        level="pyramid",
        protocols={protocol.name: protocol for protocol in PROTOCOLS},
        head=head,
        metric=partial(metric, name),
        recipes=partial(recipes, name, demo_tile),
        version=version,
        views=True,
    )


def recipes(
    task: str, demo_tile: int, dataset: DatasetCard, protocol: str, demo: bool
) -> tuple[Recipe, ...]:
    """Return a recipe for each column; on demo data with small tiles, a narrow head, few steps."""
    generic = {"finetune": FINETUNE, "linear": LINEAR}.get(protocol, FROZEN)
    setup = dataset.setup(task)
    recipe = setup.recipes.get(protocol, replace(generic, protocol=protocol))
    return setup.expand(shrink_for_demo(recipe, demo_tile) if demo else recipe, demo)


def shrink_for_demo(recipe: Recipe, tile: int) -> Recipe:
    """Return a recipe for demo data: small tiles, a narrow head, few steps."""
    width = min(recipe.width, 32)
    recipe = replace(recipe, size=0, tile=tile, epochs=12, iterations=0, batch=2, width=width)
    if recipe.protocol != "finetune":
        return recipe
    return replace(recipe, lr=1e-3, warm_up=0.1, drop_path=0.0)


def require_feature_maps(model: ModelCard) -> None:
    """Raise CannotRun for a model without feature maps."""
    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")


def ignored(dataset: DatasetCard) -> int:
    """Return the value of mask pixels without a label."""
    target = dataset.target
    return IGNORE if target is None or target.ignore is None else int(target.ignore)


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return a 1x1 convolution (linear), else UPerNet with an FCN auxiliary head."""
    from skybench.heads.dense import Dense, Linear, UPerNet, classify

    require_feature_maps(model)
    build = Linear if recipe.protocol == "linear" else UPerNet
    return Dense(build, model.levels, len(dataset.classes), recipe, classify(ignored(dataset)))


def metric(task: str, dataset: DatasetCard) -> Metric:
    """Return mIoU, mF1 and OA, from one confusion matrix per image."""
    from skybench.metrics.segmentation import Segmentation

    setup = dataset.setup(task)
    background = bool(setup.background) and dataset.classes[0] == setup.background
    main = setup.main or "miou"
    return Segmentation(dataset.classes, main, background, ignored(dataset))
