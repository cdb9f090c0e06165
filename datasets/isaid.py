"""iSAID: semantic segmentation of objects in aerial images, 15 classes and background.

torchgeo 0.8.1 has DOTA's boxes for these images, not the masks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import (
    IGNORE,
    UINT8,
    Column,
    DataError,
    DatasetCard,
    Sensor,
    Setup,
    Target,
)

from ._recipes import isaid as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import tiles

# Colour of each class in *_instance_color_RGB.png; the id is the position.
# Source: captain-whu.github.io/iSAID, development kit.
COLOURS = {
    "background": (0, 0, 0),
    "ship": (0, 0, 63),
    "store_tank": (0, 63, 63),
    "baseball_diamond": (0, 63, 0),
    "tennis_court": (0, 63, 127),
    "basketball_court": (0, 63, 191),
    "Ground_Track_Field": (0, 63, 255),
    "Bridge": (0, 127, 63),
    "Large_Vehicle": (0, 127, 127),
    "Small_Vehicle": (0, 0, 127),
    "Helicopter": (0, 0, 191),
    "Swimming_pool": (0, 0, 255),
    "Roundabout": (0, 191, 127),
    "Soccer_ball_field": (0, 127, 191),
    "plane": (0, 127, 255),
    "Harbor": (0, 100, 155),
}

CARD = DatasetCard(
    name="isaid",
    title="iSAID",
    about="The images of DOTA v1.0 with a mask of 15 kinds of object each.",
    tasks=("semantic_segmentation",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=tuple(COLOURS),
    images="dota",
    target=Target("mask", IGNORE),
    metric=(
        "Mean IoU over 16 classes with the background, from one matrix over all tiles; "
        "`miou_objects` is the mean over the 15 objects."
    ),
    setups={
        "semantic_segmentation": Setup(
            columns=(Column(test="val"),),
            sourced=recipes.RECIPES,
            background="background",
        )
    },
    splits={"train": 33978, "val": 11644},  # tiles; docs of mmsegmentation, dataset_prepare.md
    source="Waqas Zamir et al. 2019, arXiv:1905.12886; tiles as in mmsegmentation (isaid.py)",
    licence="academic use only; imagery of Google Earth: do not pass it on",
    obtain=(
        "get the images of DOTA v1.0 (captain-whu.github.io/DOTA) and the masks of iSAID "
        "(captain-whu.github.io/iSAID, Semantic_masks), and unpack both into isaid/."
    ),
    layout=(
        "isaid/\n"
        "  train/images/P0000.png                                      1,411 images\n"
        "  train/Semantic_masks/images/P0000_instance_color_RGB.png    or beside the images\n"
        "  val/images/P0003.png                                        458 images\n"
        "  val/Semantic_masks/images/P0003_instance_color_RGB.png\n"
    ),
    tile=896,
    caveats=(
        "published mIoU is the mean over 16 classes, background included",
        "labels of the test images are withheld; everybody reports val",
        "tiles overlap by 384 pixels, and a pixel counts in each of them",
        "RVSA's rows are on PFSegNets' tiles, of which val has 11,533 to 11,536, and over two "
        "views: --recipe isaid:rvsa",
        "images are PNGs of up to 13,000 pixels: without 146 GB for decoded tiles each costs a "
        "whole image",
    ),
)

SUFFIX = "_instance_color_RGB.png"


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: tiles uint8 [1, 3, 896, 896] with masks uint8 [896, 896], 255 where padded.

    split: train, val; tile: another side, with an overlap of 3/7 of it as 384 is of 896.
    """
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import layout, raster, tiles

    name = layout.resolve_split(CARD, split)
    tree = layout.locate_tree(
        CARD, root, ("iSAID", "isaid"), lambda p: (p / name / "images").is_dir()
    )
    side = tile or CARD.tile
    legend = raster.Legend(len(COLOURS), tuple((c, i) for i, c in enumerate(COLOURS.values())))
    simulated = simulation.is_demo(root, tree, tree.parent)
    split_of = Split(name, "rule: the folders train and val of the release", "", simulated)
    cut = (side, side - side * 3 // 7)
    return tiles.MaskTiles(CARD, split_of, _pairs(tree / name), cut, legend)


def _pairs(part: Path) -> list[tiles.ImageMask]:
    from ._readers import layout, tiles

    masks = (part / "Semantic_masks" / "images", part / "Semantic_masks", part / "images")
    pairs = []
    for image in layout.images_in(part / "images"):
        if not image.stem.endswith("_RGB"):  # masks, where they lie beside the images
            found = [place / f"{image.stem}{SUFFIX}" for place in masks]
            mask = next((path for path in found if path.is_file()), None)
            if mask is None:
                raise DataError(f"{image} has no mask; expected {found[0]} (or beside the image)")
            pairs.append(tiles.ImageMask(image.stem, image, mask))
    return pairs


def write_demo(root: Path, seed: int = 0) -> None:
    """Write three images for train and two for val, 500 x 450 pixels, eight kinds of objects."""
    import numpy as np
    from PIL import Image

    from skybench.data import simulation

    from ._demo import aerial

    table = np.asarray(list(COLOURS.values()), np.uint8)
    for part, numbers in {"train": (0, 1, 2), "val": (3, 4)}.items():
        masks = root / part / "Semantic_masks" / "images"
        masks.mkdir(parents=True, exist_ok=True)
        (root / part / "images").mkdir(exist_ok=True)
        for number in numbers:
            name = f"P{number:04d}"
            canvas = aerial.draw_district(simulation.rng_of(seed, name), (450, 500), tuple(COLOURS))
            Image.fromarray(canvas.display()).save(root / part / "images" / f"{name}.png")
            Image.fromarray(table[canvas.labels]).save(masks / f"{name}{SUFFIX}")
    simulation.write_marker(root, CARD.name, seed)
