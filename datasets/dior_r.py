"""DIOR-R: oriented detection of 20 classes, other boxes on the images of DIOR.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import UINT8, DatasetCard, Recipe, Sensor, Target

from ._demo.dior import write_dior as write_scenes
from ._readers import dior

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

ANNOTATIONS = "Oriented Bounding Boxes"

FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=12,
    batch=4,
    lr=1e-4,
    weight_decay=0.05,
    width=256,
    schedule="step",
    warm_up=500,
    layer_decay=0.9,
    drop_path=0.3,
    augment=("flip", "vflip"),
    source="seen substitute: ViTAE-Transformer/MTP@d5e84ff RS_Tasks_Finetune/Rotated_Detection/"
    "mmrotate1.x/configs/mtp/dior-r/oriented_rcnn_rvsa_l_800_mae_mtp_diorr.py, 4 as 1 image on "
    "each of 4 GPUs, which its log's 2,932 steps an epoch confirm; Oriented R-CNN and 800 px are "
    "also what SkySense's supplement names (unverified); differs: images without objects are "
    "learned from too",
)

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
        "box is passed over as difficult."
    ),
    target=Target("boxes"),
    setups={"oriented_detection": dior.detection_setup(FINETUNE)},
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
        "three papers print 71.05, 70.67 and 68.06 for RVSA: look at the protocol before comparing",
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
