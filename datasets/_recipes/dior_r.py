"""Recipes of DIOR-R, oriented boxes on the images of DIOR."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

ROTATED = "RS_Tasks_Finetune/Rotated_Detection/mmrotate1.x"
MTP_FILE = f"{ROTATED}/configs/mtp/dior-r/oriented_rcnn_rvsa_l_800_mae_mtp_diorr.py"
MTP_LOG = f"{ROTATED}/logs/dior-r/rvsa-l-mae-mtp.json"

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
        augment=("flip", "vflip"),
    ),
    repository="ViTAE-Transformer/MTP@d5e84ff",
    file=MTP_FILE,
    rows=("mtp",),
    about="of ViT-L; Oriented R-CNN and 800 px are also what SkySense's supplement names "
    "(unverified)",
    fields={
        "split": agrees(f"{MTP_FILE}:114, 121, 137"),
        "size": agrees(f"{MTP_FILE}:75"),
        "tile": agrees(f"{MTP_FILE}:75", "whole images"),
        "length": agrees(f"{MTP_FILE}:32"),
        "batch": agrees(f"{MTP_FILE}:102", "1 on each of 4 GPUs: 2,932 steps an epoch in the log"),
        "optimizer": agrees(f"{MTP_FILE}:56"),
        "lr": agrees(f"{MTP_FILE}:56"),
        "weight_decay": agrees(f"{MTP_FILE}:56"),
        "schedule": agrees(f"{MTP_FILE}:44-50"),
        "warm_up": agrees(f"{MTP_FILE}:38-43"),
        "layer_decay": agrees(f"{MTP_FILE}:60"),
        "drop_path": agrees(f"{MTP_FILE}:168"),
        "precision": agrees(f"{MTP_FILE}:54-62", "no mixed precision"),
        "clip": agrees(f"{MTP_FILE}:54-62", "none"),
        "augment": agrees(
            f"{MTP_FILE}:76-79", "each of three flips a quarter of the time: two coins"
        ),
        "mixing": agrees(f"{MTP_FILE}:71-81", "none"),
        "head": agrees(f"{MTP_FILE}:183-296"),
        "features": standardised(f"{MTP_FILE}:164-183"),
        "loss": agrees(f"{MTP_FILE}:183-296"),
        "state": agrees(MTP_LOG, "74.54 at epoch 12, the last, as in the README"),
        "views": agrees(f"{MTP_FILE}:82-100", "whole, one scale"),
        "metric": agrees(f"{MTP_FILE}:144", "11 points, as mmrotate's DOTAMetric"),
    },
)

NAME = "faster_rcnn_orpn_our_rsp_vit-base-win-rvsa_v3_wsz7_fpn_1x_dior_lr1e-4_ldr75_dpr15"
RVSA_FILE = f"Object Detection/configs/obb/oriented_rcnn/vit_base_win/{NAME}.py"
RVSA_LOG = f"Object Detection/logs/{NAME}.log"

RVSA = SourcedRecipe(
    name="rvsa",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
        epochs=12,
        batch=2,
        lr=1e-4,
        weight_decay=0.05,
        clip=35.0,
        width=256,
        schedule="step",
        warm_up=500,
        layer_decay=0.75,
        drop_path=0.15,
        state="last",
        augment=("flip", "vflip"),
    ),
    repository="ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7",
    file=RVSA_FILE,
    rows=("rvsa",),
    about="of ViT-B (70.67); the printed best, 71.05, is ViTAE-B's with the diamond",
    fields={
        "split": agrees(f"{RVSA_FILE}:50, 57"),
        "size": agrees(f"{RVSA_FILE}:15"),
        "tile": agrees(f"{RVSA_FILE}:15", "whole images"),
        "length": agrees(f"{RVSA_LOG}:57"),
        "batch": agrees(f"{RVSA_FILE}:45", "2 on one GPU: 5,863 steps an epoch in the log"),
        "optimizer": agrees(f"{RVSA_FILE}:63"),
        "lr": agrees(f"{RVSA_FILE}:63"),
        "weight_decay": agrees(f"{RVSA_FILE}:63"),
        "schedule": agrees(f"{RVSA_FILE}:78"),
        "warm_up": agrees(f"{RVSA_LOG}:51-56"),
        "layer_decay": agrees(f"{RVSA_FILE}:67"),
        "drop_path": agrees(f"{RVSA_FILE}:104", "0.1 for ViTAE-B: --set drop_path=0.1"),
        "precision": agrees(f"{RVSA_LOG}:34-64", "no mixed precision"),
        "clip": agrees(f"{RVSA_LOG}:50", "norms are 3 to 19, so it never binds"),
        "augment": agrees(f"{RVSA_FILE}:16-19", "its rotation is by angles from 0 to 0"),
        "mixing": agrees(f"{RVSA_FILE}:11-24", "none"),
        "head": differs(
            f"{RVSA_FILE}:134",
            "regions are pooled 1.4 by 1.2 times as large there, as they are here",
        ),
        "features": standardised(f"{RVSA_FILE}:93-111"),
        "loss": agrees(f"{RVSA_FILE}:125-154"),
        "state": agrees("Readme.md", "the test command takes latest.pth, the last"),
        "views": agrees(f"{RVSA_FILE}:25-42", "whole, one scale"),
        "metric": unknown("OBBDetection's own evaluation was not opened"),
    },
)

RECIPES = (MTP, RVSA)
