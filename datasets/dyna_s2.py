"""DynamicEarthNet with Sentinel-2 composites: land cover of a month, or its change in a series.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import IGNORE, Column, DatasetCard, DemoSetup, Option, Recipe, Setup, Target

from ._readers import dynamic_facts as facts

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

# As many months as in 10,000 batches of 16: a series has 24.
FINETUNE_CHANGE = Recipe(
    "finetune",
    val="",
    iterations=3_300,
    batch=2,
    lr=6e-5,
    weight_decay=0.01,
    width=256,
    schedule="poly",
    warm_up=330,
    layer_decay=1.0,
    augment=("flip",),
    source="seen substitute: the recipe of semantic segmentation on the same data (kang-wu/"
    "SkySensePlusPlus@cb0c6b7 finetune/configs/atlantic.py), in batches of 2 series of 24 "
    "months, as many months in all; UperNet is what SkySense's supplement names (unverified)",
)

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
        "semantic_segmentation": facts.segmentation_setup(facts.SENTINEL_FINETUNE),
        "change_detection": Setup(
            target=Target("masks", IGNORE),
            columns=(Column(test="val", label="val"), Column(test="test", label="test")),
            options=("sample=series",),
            recipes={"finetune": FINETUNE_CHANGE},
            demo=DemoSetup(columns=(Column(),)),
        ),
    },
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=facts.OBTAIN,
    layout="dyna_s2/\n" + facts.S2_LAYOUT + facts.LABEL_LAYOUT,
    tile=facts.SIDE,
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
