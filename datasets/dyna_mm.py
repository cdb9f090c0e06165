"""DynamicEarthNet with Planet, Sentinel-2 and Sentinel-1 images: land cover of a month.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DatasetCard, DemoSetup, Setup

from ._readers import dynamic_facts as facts
from ._recipes import dynamic_earth as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CARD = DatasetCard(
    name="dyna_mm",
    title="DynamicEarthNet (multi-modal)",
    about=(
        "Monthly land cover of 75 places of the world in 2018 and 2019, with daily Planet images "
        "and monthly composites of Sentinel-2 and Sentinel-1."
    ),
    tasks=("multimodal_segmentation",),
    sensors=(facts.PLANET, facts.S2, facts.S1),
    classes=facts.CLASSES,
    images=facts.IMAGES,
    target=facts.TARGET,
    metric=facts.METRIC,
    setups={
        "multimodal_segmentation": Setup(
            sourced=(recipes.PLANET_AND_SENTINEL,), demo=DemoSetup(tile=facts.DEMO_TILE)
        )
    },
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=facts.OBTAIN,
    layout=(
        "dyna_mm/\n" + facts.PLANET_LAYOUT + facts.S2_LAYOUT + facts.S1_LAYOUT + facts.LABEL_LAYOUT
    ),
    tile=facts.SIDE,
    caveats=(*facts.CAVEATS, *facts.PLANET_CAVEATS, *facts.SENTINEL_CAVEATS, *facts.S1_CAVEATS),
    options={
        "s2_bands": facts.S2_BANDS,
        "s1_bands": facts.S1_BANDS,
        "s1_unit": facts.S1_UNIT,
        "dates": facts.DATES,
        "cubes": facts.TRAINING,
    },
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: months of a cube with all sensors and a mask.

    hr: int [T, 4, 1024, 1024]; s2: [1, 12, 256, 256]; s1: [1, 2, 256, 256]; mask: [1024, 1024].
    split: train, val, test; tile: another side of the label's pixels, a multiple of 4, cut
    without overlap. See `_readers.dynamic_earth.Cubes`.
    """
    from ._readers import dynamic_earth

    return dynamic_earth.open_cubes(CARD, root, split, tile, options)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write six months of three training, one validation and two test cubes, 128 pixels wide."""
    from ._demo import dynamic_earth

    dynamic_earth.write_dynamic_earth(CARD, root, seed)
