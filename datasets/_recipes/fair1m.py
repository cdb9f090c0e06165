"""Recipe of FAIR1M."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

ROTATED = "RS_Tasks_Finetune/Rotated_Detection/mmrotate1.x"
FILE = f"{ROTATED}/configs/mtp/fair1m20/oriented_rcnn_rvsa_l_800_mae_mtp_fair1m20_branches.py"
LOG = f"{ROTATED}/logs/fair1m/rvsa-l-mae-mtp.json"

MTP = SourcedRecipe(
    name="mtp",
    kind="substitute",
    recipe=Recipe(
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
        state="last",
        augment=("flip", "vflip", "rotate"),
    ),
    repository="ViTAE-Transformer/MTP@d5e84ff",
    file=FILE,
    rows=("mtp",),
    about="of ViT-L on edition 2.0 and the one with a log; which edition's server scored SkySense "
    "is unknown",
    fields={
        "split": differs(
            f"{FILE}:114, 151",
            "train and validation are learned from and the server scores test there; train to "
            "validation here",
        ),
        "size": differs(
            f"{FILE}:75", "its clips are resized to 800 px; tiles of 1,024 px as read here"
        ),
        "tile": unknown("the side of its clips is not said; mmrotate's of 1,024 px here"),
        "length": agrees(f"{FILE}:32"),
        "batch": unknown(
            "1 a GPU; 10,468 steps an epoch are 41,872 tiles on 4 GPUs, as it had for DIOR-R, or "
            "83,744 on 8; 4 here",
            f"{FILE}:106",
        ),
        "optimizer": agrees(f"{FILE}:56"),
        "lr": agrees(f"{FILE}:56"),
        "weight_decay": agrees(f"{FILE}:56"),
        "schedule": agrees(f"{FILE}:44-50"),
        "warm_up": agrees(f"{FILE}:38-43"),
        "layer_decay": agrees(f"{FILE}:60"),
        "drop_path": agrees(f"{FILE}:181"),
        "precision": agrees(f"{FILE}:54-62", "no mixed precision"),
        "clip": agrees(f"{FILE}:54-62", "none"),
        "augment": agrees(f"{FILE}:76-83", "half of all tiles are turned by up to 180 degrees"),
        "mixing": agrees(f"{FILE}:71-85", "none"),
        "head": agrees(f"{FILE}:196-309"),
        "features": standardised(f"{FILE}:177-196"),
        "loss": agrees(f"{FILE}:196-309"),
        "state": agrees("Readme.md", "its test command takes epoch 12, the last"),
        "views": agrees(f"{FILE}:97-104", "one scale"),
        "metric": differs(
            f"{FILE}:154-158",
            "the server scores merged detections there; 11 points on validation here",
        ),
    },
)

RECIPES = (MTP,)
