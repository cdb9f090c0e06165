"""DIOR-R: oriented detection of 20 classes, other boxes on the images of DIOR.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import UINT8, DatasetCard, Sensor

from ._demo.dior import write_demo as write_scenes
from ._readers import dior

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
    metric=(
        "Mean AP of VOC 2007 (11 points) at a rotated IoU of 0.5, as mmrotate's DOTAMetric; no "
        "box is passed over as difficult."
    ),
    splits=dior.COUNTS,
    source="Cheng et al. 2022, arXiv:2110.01931; class order and corners as in mmrotate (dior.py)",
    licence=dior.LICENCE,
    obtain=(
        "follow the links on gcheng-nwpu.github.io and unpack the images of DIOR and the oriented "
        "boxes into dior_r/; dior_r may be a link to dior where both kinds of box are."
    ),
    layout=dior.layout("dior_r", ANNOTATIONS),
    leads=(
        *dior.LEADS,
        "three papers print 71.05, 70.67 and 68.06 for RVSA: look at the protocol before comparing",
    ),
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Images uint8 [1, 3, 800, 800] with Boxes; `tile` must be 0, and there are no options.

    split: train, val, trainval, test. Raises MissingFilesError.
    """
    from ._readers import boxes, layout

    layout.whole_only(CARD, tile)
    layout.settle(CARD, options)
    return dior.open_split(CARD, root, split, ANNOTATIONS, boxes.oriented)


def write_demo(root: Path, seed: int = 0) -> None:
    """48 images of 160 x 160 pixels with five of the classes; the scenes of DIOR's demo."""
    write_scenes(CARD, root, seed, ANNOTATIONS)
