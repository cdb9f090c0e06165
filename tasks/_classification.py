"""What the tasks that give an image a class, or several, share."""

from __future__ import annotations

from collections.abc import Mapping

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe

PROTOCOLS: Mapping[ProtocolName, str] = {
    "knn": "votes of the k nearest training images by cosine; k swept on validation",
    "linear": "logistic regression by L-BFGS (one against the rest where an image has several "
    "classes); lambda swept on validation",
    "frozen": "the same as linear: the paper's head for classification is a linear classifier",
}
SOURCE = "ours: frozen features, head selected on validation samples"


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """kNN, or the linear classifier that `linear` and `frozen` share for classification."""
    from skybench.heads.knn import Neighbours
    from skybench.heads.logistic import Logistic

    kind = Neighbours if recipe.protocol == "knn" else Logistic
    return kind(len(dataset.classes), refit=not recipe.val)


def metric(dataset: DatasetCard) -> Metric:
    """Average precision where an image may have several classes, else overall accuracy."""
    from skybench.metrics.accuracy import Accuracy
    from skybench.metrics.multilabel import MultiLabel

    if dataset.multilabel:
        return MultiLabel(dataset.classes)
    return Accuracy(dataset.classes)
