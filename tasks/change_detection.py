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

if TYPE_CHECKING:
    from torch import nn

    from skybench.heads.dense import Levels

SEMANTIC = ("dyna_s2",)
TESTS = {"dyna_s2": ("val", "test")}  # the paper prints a pair of numbers
OPTIONS = {"dyna_s2": ("sample=series",)}
PIXELS = {"oscd": 224}  # 96 px tiles are enlarged to 224; MTP's rvsa-l-unet-96-mae-mtp_oscd_rgb.py
PROTOCOLS: Mapping[ProtocolName, str] = {
    "linear": "a 1x1 convolution on the difference of the frozen feature pyramids; on each date "
    "for semantic change",
    "frozen": "a UNet on the difference of the frozen feature pyramids; UPerNet on each date for "
    "semantic change",
    "finetune": "the same heads; the backbone learns too, with layer-wise decay and augmentation",
}
# The head is the one of MTP's recipes (seen); the paper's BIT for LEVIR-CD is unverified. The
# schedule is ours: MTP fine-tunes for 100 to 150 epochs.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=256)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)


FINETUNE = replace(
    FROZEN,
    protocol="finetune",
    epochs=150,
    lr=6e-5,
    weight_decay=0.05,
    schedule="cosine",
    warm_up=1 / 30,
    layer_decay=0.9,
    augment=("rotflip=20", "exchange=0.5", "photometric=10,0.8,1.2,0.8,1.2,10"),
    source="after MTP's rvsa-l-unet-256-mae-mtp_levir.py (seen), without its drop path",
)
RECIPES = {"frozen": FROZEN, "linear": LINEAR, "finetune": FINETUNE}


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """A pixel classifier on differences, or on every date of a series."""
    from skybench.heads import dense

    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
    semantic = dataset.name in SEMANTIC
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

    return SemanticChange(dataset.classes) if dataset.name in SEMANTIC else Change()


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset and test split; on demo data small tiles, a narrow head, few steps."""
    recipe = replace(
        RECIPES.get(protocol, FROZEN),
        protocol=protocol,
        size=0 if demo else PIXELS.get(dataset.name, 0),
        options=OPTIONS.get(dataset.name, ()),
    )
    if dataset.name in SEMANTIC:
        recipe = replace(recipe, batch=2)  # of series: each has 24 dates
    if demo:
        tile = 96 if dataset.name == "oscd" else 128
        recipe = replace(recipe, epochs=12, batch=2, tile=tile, width=min(recipe.width, 32))
        recipe = replace(recipe, lr=1e-3) if protocol == "finetune" else recipe
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
)
