"""Scene classification: one class for each image, by overall accuracy."""

from __future__ import annotations

from skybench.core import DatasetCard, Head, Metric, ModelCard, ProtocolName, Recipe, Task

# Papers report both ratios; 320 px is the input size of SkySense's scene classification
# (specs: arXiv 2312.10115, supplement, unverified).
RATIOS = {"aid": ("20", "50"), "resisc45": ("10", "20")}
PIXELS = {"aid": 320, "resisc45": 320, "folder": 224}


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """kNN, or the linear classifier that `linear` and `frozen` share for classification."""
    from skybench.heads.knn import Neighbours
    from skybench.heads.logistic import Logistic

    kind = Neighbours if recipe.protocol == "knn" else Logistic
    return kind(len(dataset.classes), refit=not recipe.val)


def metric(dataset: DatasetCard) -> Metric:
    """Overall accuracy."""
    from skybench.metrics.accuracy import Accuracy

    return Accuracy(dataset.classes)


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a training ratio; demo images are read at their own size."""
    size = 0 if demo else PIXELS.get(dataset.name, 0)
    source = "ours: frozen features, head selected on validation samples"
    if dataset.name not in RATIOS:
        return (Recipe(protocol, size=size, source=source),)
    return tuple(
        Recipe(protocol, f"train{r}", "", f"test{r}", label=f"{r} %", size=size, source=source)
        for r in RATIOS[dataset.name]
    )


TASK = Task(
    name="scene_classification",
    title="Scene classification",
    time="fuse",
    level="pooled",
    protocols={
        "knn": "majority of the k nearest training images by cosine; k swept on validation",
        "linear": "multinomial logistic regression by L-BFGS; lambda swept on validation",
        "frozen": "the same as linear: the paper's head for classification is a linear classifier",
    },
    head=head,
    metric=metric,
    recipes=recipes,
)
