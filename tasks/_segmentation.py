"""What the tasks that give every pixel a class share."""

from __future__ import annotations

from collections.abc import Mapping

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
}
# The official fine-tuning of iSAID takes 80,000 iterations (protocols.csv); on frozen, cached
# features far fewer suffice. These are ours. Nothing is selected, so no validation split is read.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=512)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)
RECIPES = {"frozen": FROZEN, "linear": LINEAR}


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
