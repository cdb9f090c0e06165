"""Semantic segmentation: a class for each pixel, by mean IoU or mean F1."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, ProtocolName, Recipe, Task

from ._recipes import segmentation

# iSAID's test labels are withheld. DynamicEarthNet is reported on val and on test: two columns.
TESTS = {"isaid": ("val",), "dyna_pla": ("val", "test"), "dyna_s2": ("val", "test")}
DEMO_TILE = {"dyna_pla": 128, "dyna_s2": 128}


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset and test split; on demo data small tiles, a narrow head, few steps."""
    recipe = segmentation.recipe(dataset, protocol)
    if demo:
        tile = DEMO_TILE.get(dataset.name, 256)
        recipe = segmentation.demo(recipe, tile)
    tests = TESTS.get(dataset.name, ("test",))[-1 if demo else 0 :]
    labels = tests if len(tests) > 1 else ("",)
    return tuple(replace(recipe, test=t, label=n) for t, n in zip(tests, labels, strict=True))


TASK = Task(
    name="semantic_segmentation",
    title="Semantic segmentation",
    time="fuse",
    level="pyramid",
    protocols=segmentation.PROTOCOLS,
    head=segmentation.head,
    metric=segmentation.metric,
    recipes=recipes,
    version=2,
    views=True,
)
