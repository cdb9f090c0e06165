"""DynamicEarthNet with Sentinel-2 composites: land cover of a month, or its change in a series.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import IGNORE, Column, DatasetCard, DemoSetup, Option, Setup, Target

from ._readers import dynamic_facts as facts
from ._recipes import dynamic_earth as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CARD = DatasetCard(
    name="dyna_s2",
    title="DynamicEarthNet (Sentinel-2)",
    about=(
        "Monthly land cover of 75 places of the world in 2018 and 2019, with a Sentinel-2 "
        "composite for every month."
    ),
    tasks=("semantic_segmentation", "change_detection"),
    sensors=(facts.S2,),
    classes=facts.CLASSES,
    images=facts.IMAGES,
    target=facts.TARGET,
    metric=(
        f"{facts.METRIC} Change detection: SCS, the mean of BC (IoU of changed pixels) and SC "
        "(mIoU on them), over the 23 pairs of consecutive months."
    ),
    setups={
        "semantic_segmentation": facts.segmentation_setup((recipes.ATLANTIC,)),
        "change_detection": Setup(
            target=Target("masks", IGNORE),
            columns=facts.BOTH,
            options=("sample=series",),
            series=len(facts.MONTHS),
            sourced=(recipes.ATLANTIC_SERIES,),
            demo=DemoSetup(columns=(Column(),)),
        ),
    },
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=facts.OBTAIN,
    layout="dyna_s2/\n" + facts.S2_LAYOUT + facts.LABEL_LAYOUT,
    tile=facts.SIDE,
    shapes={"s2": (1, facts.SIDE // facts.QUARTER)},
    caveats=(*facts.CAVEATS, *facts.SENTINEL_CAVEATS),
    options={
        "s2_bands": facts.S2_BANDS,
        "sample": Option(
            "what a sample is: a month, or a cube with its 24 months, for semantic change",
            ("month", "series"),
        ),
        "cubes": facts.TRAINING,
    },
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: months of a cube, or series of 24 months (sample=series), with masks.

    s2: [T, 12, 256, 256]; mask: [1024, 1024], of a series [24, 1024, 1024].
    split: train, val, test; tile: another side of the label's pixels, a multiple of 4, cut
    without overlap. See `_readers.dynamic_earth.Cubes`.
    """
    from ._readers import dynamic_earth

    return dynamic_earth.open_cubes(CARD, root, split, tile, options)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write six months of six training, one validation and two test cubes, 128 pixels wide."""
    from ._demo import dynamic_earth

    dynamic_earth.write_dynamic_earth(CARD, root, seed)
