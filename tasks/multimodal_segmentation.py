"""Multi-modal segmentation: a class for each pixel from several sensors and dates.

By mean IoU (DynamicEarthNet) or overall accuracy (PASTIS, temporal crop mapping). Time is fused.
`--sensors planet`, `s2`, `planet,s2` and `planet,s2,s1` give the paper's rows on dyna_mm;
`--sensors s2 --option dates=single`, `--sensors s2` and `s2,s1a` those on pastis_mm.
"""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, ProtocolName, Recipe, Task

from ._recipes import segmentation

# All acquisitions of a year differ in number between sensors, and models without time cannot
# pair them; so twelve dates, the same for every sensor and every model. Ours.
OPTIONS = {"pastis_mm": ("dates=monthly",)}
DEMO_TILE = {"dyna_mm": 128, "pastis_mm": 32}


def recipes(dataset: DatasetCard, protocol: ProtocolName, demo: bool) -> tuple[Recipe, ...]:
    """One recipe a dataset; on demo data small tiles, a narrow head, few steps."""
    recipe = segmentation.recipe(dataset, protocol)
    recipe = replace(recipe, options=OPTIONS.get(dataset.name, ()))
    if demo:
        tile = DEMO_TILE.get(dataset.name, 64)
        recipe = segmentation.demo(recipe, tile)
    return (recipe,)


TASK = Task(
    name="multimodal_segmentation",
    title="Multi-modal segmentation",
    time="fuse",
    level="pyramid",
    protocols=segmentation.PROTOCOLS,
    head=segmentation.head,
    metric=segmentation.metric,
    recipes=recipes,
    views=True,
)
