"""Recipes of DIOR, horizontal boxes."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, standardised, unknown

SKYSENSE = (
    "detection/configs/swin_transformer_v2/faster_rcnn_swinv2_huge_patch4_window8_fpn-1x_dior.py"
)
DATA = "detection/configs/_base_/datasets/coco_detection.py"
SCHEDULE = "detection/configs/_base_/schedules/schedule_1x.py"
DETECTOR = "detection/configs/_base_/models/faster_rcnn_r50_fpn.py"

OFFICIAL = SourcedRecipe(
    name="official",
    kind="official",
    recipe=Recipe(
        "finetune",
        val="",
        epochs=12,
        batch=8,
        lr=1e-4,
        weight_decay=0.05,
        width=256,
        schedule="step",
        warm_up=1000,
        layer_decay=0.9,
        drop_path=0.2,
        state="last",
        augment=("flip",),
    ),
    repository="Bili-Sakura/SkySense@107d4e0",
    file=SKYSENSE,
    rows=("skysense",),
    about="a copy of the authors' repository",
    fields={
        "split": agrees(f"{SKYSENSE}:38, 49"),
        "size": agrees(f"{DATA}:9-12"),
        "tile": agrees(f"{DATA}:9-12", "whole images"),
        "length": agrees(f"{SCHEDULE}:5-11"),
        "batch": agrees(f"{SKYSENSE}:38-55", "1 image on each of 8 GPUs"),
        "optimizer": agrees(f"{SKYSENSE}:38-55"),
        "lr": agrees(f"{SKYSENSE}:38-55"),
        "weight_decay": agrees(f"{SKYSENSE}:38-55"),
        "schedule": agrees(f"{SCHEDULE}:5-11"),
        "warm_up": agrees(f"{SKYSENSE}:53-54"),
        "layer_decay": agrees(f"{SKYSENSE}:38-55"),
        "drop_path": agrees(f"{SKYSENSE}:19"),
        "precision": unknown("the configuration names none; float32 here"),
        "clip": agrees(f"{SCHEDULE}:3", "none"),
        "augment": agrees(f"{DATA}:9-12"),
        "mixing": agrees(f"{DATA}:9-12", "none"),
        "head": agrees(DETECTOR),
        "features": standardised(DETECTOR),
        "loss": agrees(DETECTOR),
        "state": unknown("which epoch is printed is not said; the last here"),
        "views": agrees(DATA, "whole, one scale"),
        "metric": agrees(f"{SKYSENSE}:53", "COCO's AP at IoU 0.5"),
    },
)

RUNS = "RS_Tasks_Finetune/Horizontal_Detection/logs/dior/rvsa-l-mae-mtp.json"
MTP_FILE = (
    "RS_Tasks_Finetune/Horizontal_Detection/configs/mtp/dior/faster_rcnn_rvsa_l_800_mae_mtp_dior.py"
)

MTP = SourcedRecipe(
    name="mtp",
    kind="own source",
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
        augment=("flip",),
    ),
    repository="ViTAE-Transformer/MTP@d5e84ff",
    file=MTP_FILE,
    rows=("mtp",),
    about="of ViT-L; its authors ran each model twice, 81.1 and 81.7 for ViT-L, so one run is good "
    "to some 0.4",
    fields={
        "split": agrees(f"{MTP_FILE}:134, 148"),
        "size": agrees(f"{MTP_FILE}:84"),
        "tile": agrees(f"{MTP_FILE}:84", "whole images"),
        "length": agrees(f"{MTP_FILE}:32"),
        "batch": agrees(f"{MTP_FILE}:126", "1 on each of 4 GPUs: 2,932 steps an epoch in the log"),
        "optimizer": agrees(f"{MTP_FILE}:56"),
        "lr": agrees(f"{MTP_FILE}:56"),
        "weight_decay": agrees(f"{MTP_FILE}:56"),
        "schedule": agrees(f"{MTP_FILE}:44-50"),
        "warm_up": agrees(f"{MTP_FILE}:38-43"),
        "layer_decay": agrees(f"{MTP_FILE}:60"),
        "drop_path": agrees(f"{MTP_FILE}:205", "the same for ViT-B"),
        "precision": agrees(f"{MTP_FILE}:54-62", "no mixed precision"),
        "clip": agrees(f"{MTP_FILE}:54-62", "none"),
        "augment": agrees(f"{MTP_FILE}:85"),
        "mixing": agrees(f"{MTP_FILE}:81-87", "none"),
        "head": agrees(f"{MTP_FILE}:220-312"),
        "features": standardised(f"{MTP_FILE}:201-220"),
        "loss": agrees(f"{MTP_FILE}:238-261"),
        "state": agrees(RUNS, "epoch 12, the last, is the README's score"),
        "views": agrees(f"{MTP_FILE}:88-97", "whole, one scale"),
        "metric": agrees(f"{MTP_FILE}:155-158", "COCO's AP at IoU 0.5"),
    },
)

RECIPES = (OFFICIAL, MTP)
