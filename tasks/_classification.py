"""What the tasks that give an image a class, or several, share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe

PROTOCOLS: Mapping[ProtocolName, str] = {
    "knn": "votes of the k nearest training images by cosine; k swept on validation",
    "linear": "logistic regression by L-BFGS (one against the rest where an image has several "
    "classes); lambda swept on validation",
    "frozen": "the same as linear: the paper's head for classification is a linear classifier",
    "finetune": "a linear classifier on normalised features; the backbone learns too, with "
    "layer-wise decay and augmentation",
}
SOURCE = "ours: frozen features, head selected on validation samples"


# The paper's own recipe is not public. Nothing is selected, so no validation split is read.
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=200,
    batch=64,
    lr=6e-5,
    weight_decay=0.05,
    schedule="cosine",
    warm_up=0.025,
    layer_decay=0.9,
    augment=("resized_crop", "flip", "randaugment=2,9,0.5", "erase=0.25"),
    source="after MTP's vit-rvsa-l-224-mae-mtp_nwpu28.py (seen), without its drop path",
)


def recipe(protocol: ProtocolName, demo: bool) -> Recipe:
    """What is the same for every dataset; on demo data few steps."""
    if protocol != "finetune":
        return Recipe(protocol, source=SOURCE)
    return replace(FINETUNE, epochs=8, batch=8, lr=1e-3) if demo else FINETUNE


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """kNN, the linear classifier that `linear` and `frozen` share, or one that learns with all."""
    from skybench.heads.classifier import Finetuned
    from skybench.heads.knn import Neighbours
    from skybench.heads.logistic import Logistic

    if recipe.protocol == "finetune":
        return Finetuned(model.dim, len(dataset.classes), dataset.multilabel, recipe)
    kind = Neighbours if recipe.protocol == "knn" else Logistic
    return kind(len(dataset.classes), refit=not recipe.val)


def metric(dataset: DatasetCard) -> Metric:
    """Average precision where an image may have several classes, else overall accuracy."""
    from skybench.metrics.accuracy import Accuracy
    from skybench.metrics.multilabel import MultiLabel

    if dataset.multilabel:
        return MultiLabel(dataset.classes)
    return Accuracy(dataset.classes)
