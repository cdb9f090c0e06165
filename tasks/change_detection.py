"""Change detection: which pixels changed between two dates, or the land cover of each date.

LEVIR-CD and OSCD by F1 of the change class; DynamicEarthNet by the semantic change score (SCS),
from land-cover maps of all months.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

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

from ._recipes import change_detection

if TYPE_CHECKING:
    from torch import nn

    from skybench.heads.dense import Levels

TESTS = {"dyna_s2": ("val", "test")}  # the paper prints a pair of numbers
OPTIONS = {"dyna_s2": ("sample=series",)}
PIXELS = {"oscd": 224}  # 96 px tiles are enlarged to 224; MTP's rvsa-l-unet-96-mae-mtp_oscd_rgb.py
PROTOCOLS: Mapping[ProtocolName, str] = {
    "linear": "a 1x1 convolution on the difference of the frozen feature pyramids; on each date "
    "for semantic change",
    "frozen": "a UNet on the difference of the frozen feature pyramids; UPerNet on each date for "
    "semantic change",
    "finetune": "a UNet on the difference of two dates' pyramids; UPerNet on each date for "
    "semantic change; the backbone learns too, with layer-wise decay, drop path and augmentation",
}


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """A pixel classifier on differences, or on every date of a series."""
    from skybench.heads import dense

    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
    semantic = dataset.name in change_detection.SEMANTIC
    wrap: Callable[[nn.Module], nn.Module] = dense.EachDate if semantic else dense.Difference
    body = dense.UPerNet if semantic else dense.UNet
    kind: Callable[[Levels, int, int], nn.Module] = (
        dense.Linear if recipe.protocol == "linear" else body
    )
    return dense.Dense(
        lambda levels, classes, width: wrap(kind(levels, classes, width)),
        model.levels,
        len(dataset.classes),
        recipe,
    )


def metric(dataset: DatasetCard) -> Metric:
    """F1 of change, or the semantic change score."""
    from skybench.metrics.change import Change
    from skybench.metrics.semantic_change import SemanticChange

    return (
        SemanticChange(dataset.classes) if dataset.name in change_detection.SEMANTIC else Change()
    )


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset and test split; on demo data small tiles, a narrow head, few steps."""
    recipe = replace(
        change_detection.recipe(dataset, protocol),
        size=0 if demo else PIXELS.get(dataset.name, 0),
        options=OPTIONS.get(dataset.name, ()),
    )
    if demo:
        tile, width = 96 if dataset.name == "oscd" else 128, min(recipe.width, 32)
        recipe = replace(recipe, epochs=12, iterations=0, batch=2, tile=tile, width=width)
        if protocol == "finetune":
            recipe = replace(recipe, lr=1e-3, warm_up=0.1, drop_path=0.0)
    tests = TESTS.get(dataset.name, ("test",))[-1 if demo else 0 :]
    labels = tests if len(tests) > 1 else ("",)
    return tuple(replace(recipe, test=t, label=n) for t, n in zip(tests, labels, strict=True))


TASK = Task(
    name="change_detection",
    title="Change detection",
    time="keep",
    level="pyramid",
    protocols=PROTOCOLS,
    head=head,
    metric=metric,
    recipes=recipes,
    views=True,
)
