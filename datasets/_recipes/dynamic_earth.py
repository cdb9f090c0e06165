"""Recipes for DynamicEarthNet: SkySense's for iSAID, and SkySense++'s for Sentinel-2 images.

SkySense's own are not public. The configuration for iSAID is by the same authors for the same
branch as the Planet images take, and SkySense++'s for deforestation in Sentinel-2 images
(atlantic.py) for the branch that the Sentinel-2 images take.
"""

from __future__ import annotations

from dataclasses import replace

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown
from .isaid import OFFICIAL

REPOSITORY = "kang-wu/SkySensePlusPlus@2af5223"
FILE = "finetune/configs/atlantic.py"
ATLANTIC_AT = f"{REPOSITORY}:{FILE}"
SCRIPT = "tools/run_finetune.sh:5"  # gpu_num=8; README.md runs it with this configuration
MMSEG_LOSS = "finetune/mmseg/models/losses/cross_entropy_loss.py:58-65"
STATE = (
    "scored on validation every 500 steps, 20 times in all as here, and the best mIoU is kept; "
    "which is printed is not said: the last here, and the best is recorded beside it"
)
UPERNET = "UPerNet is what SkySense's supplement names (unverified)"

ATLANTIC = SourcedRecipe(
    name="atlantic",
    kind="substitute",
    recipe=Recipe(
        "finetune",
        iterations=10_000,
        batch=8,
        lr=6e-5,
        weight_decay=0.01,
        width=512,
        schedule="linear",
        warm_up=1000,
        layer_decay=1.0,
        loss="all-pixels",
        validate=3,
        state="last",
        augment=("flip",),
    ),
    repository=REPOSITORY,
    file=FILE,
    about=(
        "by SkySense's authors, for their Sentinel-2 branch on another data set; UPerNet and "
        "256 px are what SkySense's supplement names (unverified)"
    ),
    fields={
        "split": unknown("another data set; dynnet's cubes here, all 55 to train, dynnet had 53"),
        "size": agrees(f"{FILE}:1-4", "256 px of Sentinel-2, which are 1,024 of the labels"),
        "tile": agrees(f"{FILE}:1-4", "256 px of Sentinel-2, the whole image"),
        "length": agrees(f"{FILE}:221", "10,000 steps; 61 passes here"),
        "batch": agrees(SCRIPT, "1 (finetune/configs/atlantic.py:223) on each of 8 GPUs"),
        "optimizer": agrees(f"{FILE}:161-172"),
        "lr": agrees(f"{FILE}:166"),
        "weight_decay": agrees(f"{FILE}:166-171", "not on norms and positions"),
        "schedule": agrees(f"{FILE}:174-186", "PolyLR begins after the warm-up"),
        "warm_up": agrees(f"{FILE}:175-177"),
        "layer_decay": agrees(f"{FILE}:167-171", "one rate for all layers"),
        "drop_path": differs(f"{FILE}:75-76", "none too, but dropout .1 in the backbone there"),
        "precision": agrees(f"{FILE}:161-172", "no autocast; README names PyTorch 1.13"),
        "clip": agrees(f"{FILE}:161-172", "none"),
        "augment": agrees(f"{FILE}:229-235", "a crop of 256 px takes the image whole here"),
        "mixing": agrees(f"{FILE}:229-235", "none"),
        "head": differs(
            f"{FILE}:59-71, 114-155",
            "UPerHead 512 too, but on maps of one stride that a neck brings to 512 channels, and "
            "FCN 256 on the last of them, here on the last but one",
        ),
        "features": standardised(f"{FILE}:141-155"),
        "loss": agrees(MMSEG_LOSS, "mmsegmentation's default, the mean over all pixels"),
        "state": unknown(STATE, f"{FILE}:27, 221"),
        "views": agrees(f"{FILE}:157", "whole images"),
        "metric": unknown("another data set's classes; SkySense prints mIoU of 6 classes"),
    },
)

# As many months as in 10,000 batches of 8: a series has 24.
ATLANTIC_SERIES = replace(
    ATLANTIC,
    recipe=replace(ATLANTIC.recipe, iterations=1_670, batch=2, warm_up=167, width=256),
    about=(
        "the recipe of semantic segmentation on the same data, in batches of 2 series of 24 "
        f"months; {UPERNET}"
    ),
    fields={
        **ATLANTIC.fields,
        "length": differs(f"{FILE}:221", "as many months in all in a sixth of the steps"),
        "batch": differs(f"{SCRIPT}", "2 series of 24 months, for its 8 images"),
        "warm_up": differs(f"{FILE}:175-177", "a tenth of the steps too, 167 of 1,670"),
        "head": unknown("SkySense's is not public; here UPerNet of width 256 on each month"),
        "metric": unknown("SkySense prints SCS, whose definition here is dynnet's"),
    },
)

PLANET = SourcedRecipe(
    name="isaid",
    kind="substitute",
    recipe=replace(
        OFFICIAL.recipe,
        val="val",
        iterations=10_000,
        schedule="linear",
        warm_up=1000,
        validate=6,
        augment=("resize_crop=0.5,2,0.75", "flip"),
    ),
    repository=OFFICIAL.repository,
    file=OFFICIAL.file,
    about=(
        "SkySense's own for iSAID, with the length of its authors' atlantic.py, for there are "
        "1,320 images, not 33,978; UPerNet and 1,024 px are what its supplement names (unverified)"
    ),
    void=("photometric",),
    fields={
        **OFFICIAL.fields,
        "split": unknown("another data set; dynnet's cubes here, all 55 to train, dynnet had 53"),
        "size": differs("segmentation/configs/_base_/datasets/isaid.py:18-19", "1,024 px for 896"),
        "tile": differs("segmentation/configs/_base_/datasets/isaid.py:18-19", "the whole image"),
        "length": differs(
            f"{ATLANTIC_AT}:221", "10,000 steps, 121 passes; 80,000 for iSAID, 38 passes"
        ),
        "schedule": differs(
            f"{ATLANTIC_AT}:174-186", "as in atlantic.py after the warm-up; for iSAID from step 0"
        ),
        "warm_up": differs(f"{ATLANTIC_AT}:175-177", "1,000 steps; 1,500 for iSAID"),
        "augment": agrees(
            "segmentation/configs/_base_/datasets/isaid.py:18-21",
            "but for colours, which change 8-bit images only",
        ),
        "state": unknown(
            f"not said for iSAID, where no best one is kept; atlantic.py: {STATE}",
            f"{ATLANTIC_AT}:27, 221",
        ),
        "views": agrees("segmentation/configs/_base_/datasets/isaid.py:27-40", "whole images"),
        "metric": unknown("another data set's classes; SkySense prints mIoU of 6 classes"),
    },
)

PLANET_AND_SENTINEL = replace(
    PLANET,
    about=(
        "as for the Planet images alone, on all sensors together; SkySense's supplement names "
        "UPerNet on fused features (unverified), nothing else is known"
    ),
    fields={
        **PLANET.fields,
        "head": unknown(
            "SkySense's fusion and its geo-context prototypes are not public; here UPerNet on "
            "the model's own features of all sensors"
        ),
        "metric": unknown("another data set's classes; SkySense prints mIoU of 6 classes"),
    },
)
