"""DIOR: horizontal detection of 20 classes in aerial images.

torchgeo's class reads a re-hosted copy without the boxes of the test images and with other class
ids; papers test on those images, so the official files are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import UINT8, DatasetCard, Sensor, Target

from ._demo.dior import write_dior as write_scenes
from ._readers import dior
from ._recipes.dior import RECIPES

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

ANNOTATIONS = "Horizontal Bounding Boxes"

CARD = DatasetCard(
    name="dior",
    title="DIOR",
    about=(
        "23,463 images of 800 x 800 pixels from Google Earth with 192,472 upright boxes of 20 "
        "kinds of object."
    ),
    tasks=("horizontal_detection",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=dior.CLASSES,
    metric=(
        "AP at IoU 0.5 as COCO defines it (101 points, at most 100 detections an image), which "
        "SkySense and MTP print as mAP50; the paper of DIOR has the 11-point AP of VOC 2007. "
        "`ap50_voc07` and `ap50_voc12` count one hit for an object annotated twice, COCO's scores "
        "one for each."
    ),
    target=Target("boxes"),
    setups={"horizontal_detection": dior.detection_setup(RECIPES)},
    image_sides=(800,),
    splits=dior.COUNTS,
    source=(
        "Li et al. 2020, arXiv:1909.00133; class order and coordinates as in "
        "github:ViTAE-Transformer/MTP scripts/dior_h_2_coco.py"
    ),
    licence=dior.LICENCE,
    obtain=(
        "follow the links on gcheng-nwpu.github.io (about 7 GB, unverified) and unpack all "
        "archives into dior/."
    ),
    layout=dior.official_layout("dior", ANNOTATIONS),
    caveats=(
        *dior.CAVEATS,
        "MTP trained each model twice: scores of one recipe lie up to 0.6 apart",
        "corners are taken as they are stored; whether the release counts pixels from 0 or 1 is "
        "not stated, and mmdet's own VOC converter would take 1 off",
    ),
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: images uint8 [1, 3, 800, 800] with Boxes.

    split: train, val, trainval, test; `tile` must be 0; no options. Raises MissingFilesError.
    """
    from ._readers import boxes, layout

    layout.require_whole_images(CARD, tile)
    layout.resolve_options(CARD, options)
    return dior.open_dior(CARD, root, split, ANNOTATIONS, boxes.read_voc)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 48 images of 160 x 160 pixels with five of the classes."""
    write_scenes(CARD, root, seed, ANNOTATIONS)
