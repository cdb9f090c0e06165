"""Classification of images: the heads, the metric and the recipes of the tasks that share them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from skybench.core import DatasetCard, Head, Metric, ModelCard, Protocol, Recipe, Task
from skybench.training.recipe_check import HeadSettings, check_settings

PROTOCOLS = (
    Protocol(
        name="knn",
        trains_backbone=False,
        level="pooled",
        text="votes of the k nearest training images by cosine; k swept on validation",
    ),
    Protocol(
        name="linear",
        trains_backbone=False,
        level="pooled",
        text="logistic regression by L-BFGS (one against the rest where an image has several "
        "classes); lambda swept on validation",
        version=2,  # small lambdas are solved nearer to their optimum
    ),
    Protocol(
        name="frozen",
        trains_backbone=False,
        level="pooled",
        text="the same as linear: the paper's head for classification is a linear classifier",
        version=2,  # as linear
    ),
    Protocol(
        name="finetune",
        trains_backbone=True,
        level="pooled",
        text="a linear classifier on normalised features; the backbone learns too, with "
        "layer-wise decay, drop path and augmentation",
    ),
)
FROZEN = Recipe("frozen", source="ours: frozen features, head selected on validation samples")
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=50,
    batch=32,
    lr=6e-5,
    weight_decay=0.05,
    schedule="cosine",
    warm_up=0.05,
    layer_decay=0.9,
    drop_path=0.1,
    augment=("resized_crop=0.3,1", "flip", "vflip"),
    source="ours: generic, for data sets without a recipe of their own; rates and schedule after "
    "MTP's for RESISC45, fewer epochs, milder augmentation",
)


def classification_task(name: str, title: str, version: int = 1) -> Task:
    """Return a task that gives each image one class, or several, from the pooled features."""
    return Task(
        name=name,
        title=title,
        time="fuse",
        level="pooled",
        protocols={protocol.name: protocol for protocol in PROTOCOLS},
        head=head,
        check=check,
        metric=metric,
        recipes=partial(recipes, name),
        version=version,
    )


def recipes(task: str, dataset: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    """Return a recipe for each column of the data set; on demo data few steps, images as read."""
    generic = FINETUNE if protocol == "finetune" else replace(FROZEN, protocol=protocol)
    setup = dataset.setup(task)
    recipe = setup.recipe(protocol, generic)
    if demo:
        recipe = replace(recipe, size=0)
    if demo and protocol == "finetune":
        recipe = replace(recipe, epochs=8, iterations=0, batch=8, lr=1e-3, drop_path=0.0)
    return setup.expand(recipe, demo)


TRAINED = ("dropout", "mixup", "cutmix", "test_crop", "augment")  # settings of fine-tuning


def check(recipe: Recipe, dataset: DatasetCard) -> None:
    """Raise UsageError for a loss or settings that classification under a protocol has not."""
    known, what = HeadSettings(), "classification"
    if dataset.multilabel:
        what = "classification with several classes an image"
    if recipe.protocol == "finetune" and dataset.multilabel:
        known = HeadSettings(losses=("softmargin",), optional=TRAINED)
    elif recipe.protocol == "finetune":
        known = HeadSettings(optional=(*TRAINED, "smoothing"))
    check_settings(recipe, known, f"{recipe.protocol} {what}")


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """Return kNN, logistic regression (linear, frozen), or a linear layer for fine-tuning."""
    from skybench.heads.classifier import Finetuned
    from skybench.heads.knn import KNN
    from skybench.heads.logistic import Logistic

    check(recipe, dataset)
    if recipe.protocol == "finetune":
        return Finetuned(model.dim, len(dataset.classes), dataset.multilabel, recipe)
    kind = KNN if recipe.protocol == "knn" else Logistic
    return kind(len(dataset.classes), refit=not recipe.val)


def metric(dataset: DatasetCard) -> Metric:
    """Return mean average precision if images have several classes, else overall accuracy."""
    from skybench.metrics.accuracy import Accuracy
    from skybench.metrics.multilabel import MultiLabel

    if dataset.multilabel:
        return MultiLabel(dataset.classes)
    return Accuracy(dataset.classes)
