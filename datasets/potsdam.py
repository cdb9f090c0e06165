"""ISPRS Potsdam: semantic segmentation of 5 cm orthophotos, 5 classes.

torchgeo's class reads the labels with boundaries and turns black (not to be scored) into clutter;
papers use the labels without boundaries, so they are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import IGNORE, UINT8, DatasetCard, Option, Sensor, Setup, Target
from skybench.data.split_lists import MissingFilesError

from ._recipes import potsdam as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import tiles

# Source: ISPRS, 2D semantic labelling contest; 255 (clutter, boundary) is not scored.
COLOURS = {
    "impervious": ((255, 255, 255), 0),
    "building": ((0, 0, 255), 1),
    "low_vegetation": ((0, 255, 255), 2),
    "tree": ((0, 255, 0), 3),
    "car": ((255, 255, 0), 4),
    "clutter": ((255, 0, 0), 255),
    "boundary": ((0, 0, 0), 255),
}
# Two labels of the release are off the table: 6_7 has cars in (252, 255, 0), 4_12 is a blend of
# label and image that strays up to about 43 in a channel. All colours are corners of the cube, so
# anything below 127 stays unambiguous.
TOLERANCE = 64

SIDE = 6000  # of every image
# 24 images to train, 14 to test. Source: torchgeo 0.8.1 Potsdam2D.splits; mmsegmentation agrees.
TRAIN = (
    *("2_10", "2_11", "2_12", "3_10", "3_11", "3_12", "4_10", "4_11", "4_12", "5_10", "5_11"),
    *("5_12", "6_7", "6_8", "6_9", "6_10", "6_11", "6_12", "7_7", "7_8", "7_9", "7_10", "7_11"),
    "7_12",
)
TEST = (
    *("2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13"),
    *("6_14", "6_15", "7_13"),
)

CARD = DatasetCard(
    name="potsdam",
    title="ISPRS Potsdam",
    about="38 orthophotos of one German town at 5 cm, every pixel labelled.",
    tasks=("semantic_segmentation",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.05, UINT8),),
    classes=("impervious", "building", "low_vegetation", "tree", "car"),
    target=Target("mask", IGNORE),
    metric=(
        "Mean F1 over 5 classes from one matrix, as mmsegmentation's mFscore: a class without a "
        "single right pixel is left out of `mf1`, and the record says so; in `mf1_present` it "
        "counts 0. Clutter and boundaries are not scored. `oa` and `miou` beside it: some papers "
        "quote OA in the column of mF1."
    ),
    setups={"semantic_segmentation": Setup(sourced=recipes.RECIPES, main="mf1")},
    image_sides=(SIDE,),
    splits={"train": 3456, "test": 2016},  # tiles of 512, 144 an image
    source="ISPRS WG II/4, 2D semantic labelling Potsdam; tiles as in mmsegmentation (potsdam.py)",
    licence="none stated; given on request by ISPRS: do not pass it on",
    obtain=(
        "ask for it at ISPRS (2D Semantic Labeling Contest - Potsdam) and unpack 2_Ortho_RGB.zip "
        "and 5_Labels_all_noBoundary.zip into potsdam/."
    ),
    layout=(
        "potsdam/\n"
        "  2_Ortho_RGB/top_potsdam_2_10_RGB.tif                           38 tiles, 6000 x 6000\n"
        "  5_Labels_all_noBoundary/top_potsdam_2_10_label_noBoundary.tif\n"
    ),
    tile=512,
    caveats=(
        "papers score 5 classes; clutter is ignored in every source that was seen, boundaries in "
        "those that follow mmsegmentation; whether in the others is not proven",
        "numbers of 90.60 to 91.22 that are quoted for RVSA are overall accuracy, not mean F1: "
        "its logs have 90.05, 90.24, 90.64 and 90.61 as mean F1 of the same runs",
        "RVSA cuts tiles of 600 px every 300 px and sees them at 512 px: --recipe potsdam:rvsa",
        "label 4_12 is blended with its image and most cars of 6_7 have another yellow; both are "
        "read here, while converters that compare colours exactly train without them",
        "some papers leave out 7_10 for its faulty label (unverified)",
    ),
    options={
        "overlap": Option(
            "what neighbouring tiles share: nothing, or half a side in each direction",
            ("none", "half"),
        )
    },
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: tiles uint8 [1, 3, 512, 512] with masks uint8 [512, 512].

    Clutter and boundary are 255. split: train, test; tile: another side. With overlap=half tiles
    begin every half side. Raises MissingFilesError.
    """
    from dataclasses import replace

    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import layout, raster, tiles

    name = layout.resolve_split(CARD, split)
    tree = layout.locate_tree(CARD, root, ("Potsdam", "potsdam"), lambda p: bool(_pairs(p)))
    simulated = simulation.is_demo(root, tree, tree.parent)
    numbers = {"train": TRAIN, "test": TEST}
    pairs = _pairs(tree)
    missing = [t for t in numbers[name] if t not in pairs]
    if missing and not simulated:
        raise MissingFilesError(
            f"{CARD.title} in {tree}",
            [f"top_potsdam_{t}_RGB.tif or its label_noBoundary.tif" for t in missing],
        )
    legend = raster.Legend(len(CARD.classes), tuple(COLOURS.values()), tolerance=TOLERANCE)
    side = tile or CARD.tile
    half = layout.resolve_options(CARD, options)["overlap"] == "half"
    cut = (side, max(1, side // 2) if half else side)
    an_image = len(tiles.tile_starts(SIDE, *cut)) ** 2
    card = replace(CARD, splits={part: an_image * len(own) for part, own in numbers.items()})
    split_of = Split(name, "rule: the contest's 24 training and 14 test tiles", "", simulated)
    chosen = [pairs[t] for t in numbers[name] if t in pairs]
    return tiles.MaskTiles(card, split_of, chosen, cut, legend)


def _pairs(tree: Path) -> dict[str, tiles.ImageMask]:
    """Return image and label of each tile that has both, by tile number."""
    from ._readers import tiles

    images = (tree / "2_Ortho_RGB", tree / "2_Ortho_RGB" / "2_Ortho_RGB", tree)
    labels = (tree / "5_Labels_all_noBoundary", tree)
    pairs = {}
    for number in (*TRAIN, *TEST):
        image = [p / f"top_potsdam_{number}_RGB.tif" for p in images]
        label = [p / f"top_potsdam_{number}_label_noBoundary.tif" for p in labels]
        found = [next((p for p in paths if p.is_file()), None) for paths in (image, label)]
        if found[0] and found[1]:
            pairs[number] = tiles.ImageMask(number, found[0], found[1])
    return pairs


def write_demo(root: Path, seed: int = 0) -> None:
    """Write three training and two test tiles of 512 x 512 pixels, with clutter and boundaries."""
    import numpy as np
    from PIL import Image

    from skybench.data import simulation

    from ._demo import aerial

    table = np.asarray([colour for colour, _ in COLOURS.values()], np.uint8)
    images, labels = root / "2_Ortho_RGB", root / "5_Labels_all_noBoundary"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for number in (*TRAIN[:3], *TEST[:2]):
        canvas = aerial.draw_quarter(simulation.rng_of(seed, number), (512, 512), tuple(COLOURS))
        name = f"top_potsdam_{number}"
        packed = {"compression": "tiff_lzw"}
        Image.fromarray(canvas.display()).save(images / f"{name}_RGB.tif", **packed)
        Image.fromarray(table[canvas.labels]).save(
            labels / f"{name}_label_noBoundary.tif", **packed
        )
    simulation.write_marker(root, CARD.name, seed)
