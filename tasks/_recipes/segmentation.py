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
from skybench.training.recipe_check import HeadSettings, check_settings

from .published_probes import PUBLISHED_PROBES

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
# suffice. These two are ours. Their length is 20 epochs within bounds in steps, and the learning
# rate is chosen by a short training with each: see docs/log.md, 2026-11-30. No validation split is
# read.
FEWEST, MOST = 500, 20_000  # steps
OURS = (
    "ours: 20 epochs, at least 500 and at most 20,000 steps; learning rate chosen on held-out "
    "training data"
)
FROZEN = Recipe(
    "frozen",
    val="",
    epochs=20,
    min_steps=FEWEST,
    max_steps=MOST,
    batch=16,
    lr=1e-3,
    rates=("3e-4", "1e-3", "3e-3"),
    weight_decay=0.01,
    width=512,
    source=OURS,
)
LINEAR = Recipe(
    "linear",
    val="",
    epochs=20,
    min_steps=FEWEST,
    max_steps=MOST,
    batch=16,
    lr=1e-2,
    rates=("3e-4", "1e-3", "3e-3", "1e-2"),
    weight_decay=0.0,
    source=OURS,
)
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
        check=check,
        metric=partial(metric, name),
        recipes=partial(recipes, name, demo_tile),
        version=version,
        views=True,
        sourced=PUBLISHED_PROBES,
    )


def recipes(
    task: str, demo_tile: int, dataset: DatasetCard, protocol: str, demo: bool
) -> tuple[Recipe, ...]:
    """Return a recipe for each column; on demo data with small tiles, a narrow head, few steps."""
    generic = {"finetune": FINETUNE, "linear": LINEAR}.get(protocol, FROZEN)
    setup = dataset.setup(task)
    recipe = setup.recipe(protocol, replace(generic, protocol=protocol))
    return setup.expand(shrink_for_demo(recipe, demo_tile) if demo else recipe, demo)


def shrink_for_demo(recipe: Recipe, tile: int) -> Recipe:
    """Return a recipe for demo data: small tiles, a narrow head, few steps at a stated rate."""
    recipe = replace(
        recipe, size=0, tile=tile, epochs=8, iterations=0, min_steps=0, max_steps=0, batch=2,
        rates=(), width=min(recipe.width, 32),
    )  # fmt: skip
    if recipe.protocol != "finetune":
        return recipe
    return replace(recipe, epochs=12, lr=1e-3, warm_up=0.1, drop_path=0.0)


# Beside the usual head and loss of each protocol.
DENSE = HeadSettings(("upernet", "fpn", "linear"), ("all-pixels",), ("smoothing", "augment"))
PROBE = HeadSettings(("linear",), ("all-pixels",), ("smoothing", "augment"))


def check(recipe: Recipe, dataset: DatasetCard) -> None:
    """Raise UsageError for a head, a loss or settings that segmentation does not have."""
    known = PROBE if recipe.protocol == "linear" else DENSE
    check_settings(recipe, known, f"{recipe.protocol} segmentation")


def require_feature_maps(model: ModelCard) -> None:
    """Raise CannotRun for a model without feature maps."""
    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")


def ignored(dataset: DatasetCard) -> int:
    """Return the value of mask pixels without a label."""
    target = dataset.target
    return IGNORE if target is None or target.ignore is None else int(target.ignore)


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return the recipe's head, by default a 1x1 convolution (linear), else UPerNet with FCN."""
    from skybench.heads.decoders import DECODERS
    from skybench.heads.dense import Dense, classify

    require_feature_maps(model)
    check(recipe, dataset)
    build = DECODERS[recipe.head or ("linear" if recipe.protocol == "linear" else "upernet")]
    answer = classify(ignored(dataset), recipe)
    return Dense(build, model.levels, len(dataset.classes), recipe, answer)


def metric(task: str, dataset: DatasetCard) -> Metric:
    """Return mIoU, mF1 and OA, from one confusion matrix per image."""
    from skybench.metrics.segmentation import Segmentation

    setup = dataset.setup(task)
    background = bool(setup.background) and dataset.classes[0] == setup.background
    main = setup.main or "miou"
    return Segmentation(dataset.classes, main, background, ignored(dataset))
