"""DynamicEarthNet with Planet images: land cover of a month at 3 m, 6 classes.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DatasetCard

from ._readers import dynamic_facts as facts
from ._recipes import dynamic_earth as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CARD = DatasetCard(
    name="dyna_pla",
    title="DynamicEarthNet (Planet)",
    about=(
        "Monthly land cover of 75 places of the world in 2018 and 2019, with a Planet image of "
        "3 m for every day."
    ),
    tasks=("semantic_segmentation",),
    sensors=(facts.PLANET,),
    classes=facts.CLASSES,
    images=facts.IMAGES,
    target=facts.TARGET,
    metric=facts.METRIC,
    setups={"semantic_segmentation": facts.segmentation_setup((recipes.PLANET,))},
    image_sides=(1024,),
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=facts.OBTAIN,
    layout="dyna_pla/\n" + facts.PLANET_LAYOUT + facts.LABEL_LAYOUT,
    tile=facts.SIDE,
    caveats=(*facts.CAVEATS, *facts.PLANET_CAVEATS),
    options={"dates": facts.DATES, "cubes": facts.TRAINING},
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: months of a cube, hr: int [T, 4, 1024, 1024], and a mask.

    T is 1 unless `dates` says otherwise. split: train, val, test; tile: another side, without
    overlap. See `_readers.dynamic_earth.Cubes`.
    """
    from ._readers import dynamic_earth

    return dynamic_earth.open_cubes(CARD, root, split, tile, options)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write six months of three training, one validation and two test cubes, 128 pixels wide."""
    from ._demo import dynamic_earth

    dynamic_earth.write_dynamic_earth(CARD, root, seed)
