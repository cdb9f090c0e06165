"""DynamicEarthNet with Planet images: land cover of a month at 3 m, 6 classes.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DatasetCard

from ._readers import dynamic_facts as facts

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
    metric=facts.METRIC,
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=facts.OBTAIN,
    layout="dyna_pla/\n" + facts.PLANET_LAYOUT + facts.LABEL_LAYOUT,
    tile=facts.SIDE,
    leads=(*facts.LEADS, *facts.PLANET_LEADS),
    options={"dates": facts.DATES, "cubes": facts.TRAINING},
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Months: hr int [T, 4, 1024, 1024], T = 1 unless `dates` says otherwise, and a mask.

    split: train, val, test; tile: another side, cut without overlap. See `_dynamic_earth.Cubes`.
    """
    from ._readers import dynamic_earth

    return dynamic_earth.opened(CARD, root, split, tile, options)


def write_demo(root: Path, seed: int = 0) -> None:
    """Six months of three training cubes, one of validation and two of test, 128 pixels wide."""
    from ._demo import dynamic_earth

    dynamic_earth.write(CARD, root, seed)
