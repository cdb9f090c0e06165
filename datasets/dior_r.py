"""DIOR-R: oriented detection of 20 classes, other boxes on the images of DIOR.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import UINT8, DatasetCard, Sensor, Target

from ._demo.dior import write_dior as write_scenes
from ._readers import dior
from ._recipes.dior_r import RECIPES

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

ANNOTATIONS = "Oriented Bounding Boxes"

CARD = DatasetCard(
    name="dior_r",
    title="DIOR-R",
    about="The images of DIOR with 192,518 oriented boxes of 20 kinds of object.",
    tasks=("oriented_detection",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=dior.CLASSES,
    images="dior",
    metric=(
        "Mean AP of VOC 2007 (11 points) at a rotated IoU of 0.5, as mmrotate's DOTAMetric; no "
        "box is passed over as difficult. An object annotated twice is found once, as there (the "
        "first of equals takes every detection), so that the truth itself scores less than 100 "
        "where there are doubles; `ap50_voc07_doubles` counts a hit for each, and the record says "
        "how many there are: of the test images that is unknown."
    ),
    target=Target("boxes"),
    setups={"oriented_detection": dior.detection_setup(RECIPES)},
    image_sides=(800,),
    splits=dior.COUNTS,
    source="Cheng et al. 2022, arXiv:2110.01931; class order and corners as in mmrotate (dior.py)",
    licence=dior.LICENCE,
    obtain=(
        "follow the links on gcheng-nwpu.github.io and unpack the images of DIOR and the oriented "
        "boxes into dior_r/; dior_r may be a link to dior where both kinds of box are."
    ),
    layout=dior.official_layout("dior_r", ANNOTATIONS),
    caveats=(
        *dior.CAVEATS,
        "of RVSA's paper 70.67 is ViT-B and 71.05 ViTAE-B with the diamond; the 68.06 that others "
        "print is another paper's run (README of SelectiveMAE)",
    ),
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: images uint8 [1, 3, 800, 800] with Boxes.

    split: train, val, trainval, test; `tile` must be 0; no options. Raises MissingFilesError.
    """
    from ._readers import boxes, layout

    layout.require_whole_images(CARD, tile)
    layout.resolve_options(CARD, options)
    return dior.open_dior(CARD, root, split, ANNOTATIONS, boxes.read_dior_r)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 48 images of 160 x 160 pixels with five of the classes; the scenes of DIOR's demo."""
    write_scenes(CARD, root, seed, ANNOTATIONS)
