"""Recipes of BigEarthNet: ours after GFM's, and those of GFM, SeCo and SSL4EO-S12."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import Column, Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

SIZE = 128  # of SkySense's input (arXiv 2312.10115, supplement, unverified)
RGB = ("bands=rgb",)


def seco_columns(prefix: str = "") -> tuple[Column, ...]:
    """Return the columns of SeCo's lists, which are scored on their val."""
    parts = (("seco_train10", "10 %"), ("seco_train", "100 %"))
    return tuple(Column(t, "", "seco_val", f"{prefix}SeCo val, {p}") for t, p in parts)


TRAINING = Recipe(
    "finetune",
    val="",
    size=SIZE,
    epochs=100,
    batch=128,
    lr=2.5e-5,
    weight_decay=0.05,
    clip=5.0,
    schedule="cosine=2.5e-6",
    warm_up=20 / 100,
    layer_decay=0.9,
    drop_path=0.1,
    state="last",
    augment=("resized_crop=0.67,1", "flip", "vflip"),
    loss="softmargin",
)
OURS = SourcedRecipe(
    name="ours",
    kind="ours",
    recipe=replace(TRAINING, val="val", validate=10),  # the last counts, the best stands beside it
    about="SkySense's is not public, but for a linear classifier and 128 px (supplement, "
    "unverified); rates, length and crops after GFM's, without its mixup and CutMix, on the "
    "official lists and all bands",
)

LISTS = (
    "less snow and cloud; 10 % are drawn with replacement, seed 42; scored on SeCo's val, which "
    "is not the official test"
)
SCORED = "micro AP over all labels batch by batch, averaged; once over all here, batches beside it"

GFM_DATA = "mmendiet/GFM@4dd248e:data/ben_data.py"
LOADER = "mmendiet/GFM@4dd248e:data/data_finetune.py"
YAML = "mmendiet/GFM@4dd248e:configs/BEN.yaml"
GFM = SourcedRecipe(
    name="gfm",
    kind="own source",
    recipe=replace(TRAINING, mixup=0.8, cutmix=1.0, options=RGB),
    repository="mmendiet/GFM@3e7aba8",
    file="main_finetune.py",
    rows=("gfm",),
    about="whether its printed runs changed a default by --opts is not said",
    columns=seco_columns("RGB, "),
    fields={
        "split": agrees(f"{GFM_DATA}:18, 106-114, 236-239", f"red, green and blue; {LISTS}"),
        "size": agrees(f"{YAML}:12"),
        "tile": agrees(f"{GFM_DATA}:148-153", "whole patches"),
        "length": agrees(f"{YAML}:14"),
        "batch": unknown("128 a GPU; on how many is not said, one here", "config.py:19"),
        "optimizer": agrees("config.py:121"),
        "lr": agrees(f"{YAML}:16", "0.0001 for 512 patches"),
        "weight_decay": agrees(f"{YAML}:19"),
        "schedule": differs(
            "lr_scheduler.py:22-31",
            "its cosine runs through the warm-up too, so that the highest rate is 0.91 of ours; to "
            "a tenth in both",
        ),
        "warm_up": agrees(f"{YAML}:15"),
        "layer_decay": agrees(f"{YAML}:20"),
        "drop_path": agrees(f"{YAML}:4"),
        "precision": differs(
            "main_finetune.py:57", "fp16 by apex's O1; float32 here, which hardly moves the score"
        ),
        "clip": agrees("config.py:98"),
        "augment": agrees(f"{GFM_DATA}:200-202"),
        "mixing": agrees(
            "config.py:147-149, main_finetune.py:178-179",
            "in the defaults, for several labels too (data/mixup.py); whether it was on in the "
            "printed runs is not said",
        ),
        "head": agrees("main_finetune.py:81", "a linear classifier"),
        "features": standardised("main_finetune.py:81"),
        "loss": differs(
            "main_finetune.py:99-100",
            "the same mean over the classes; its mixing smooths labels to 0.905 and 0.005, which "
            "are 1 and 0 here: the ranking, which AP scores, hardly changes",
        ),
        "state": differs(
            "main_finetune.py:151-154",
            "the best epoch on val, which is the one that is scored; the last here, and the "
            "source's by --set state=best-on-test, which marks the record",
        ),
        "views": agrees(f"{GFM_DATA}:212-216", "whole"),
        "metric": differs("main_finetune.py:99-100", SCORED),
    },
)

MODULE = "datasets/bigearthnet_datamodule.py"
TUNER = "models/ssl_finetuner.py"
SECO = SourcedRecipe(
    name="seco",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
        size=128,
        epochs=100,
        batch=256,
        lr=1e-5,
        optimizer="adam",
        schedule="multistep=0.6,0.8",
        layer_decay=1.0,
        state="last",
        dropout=0.2,
        loss="softmargin",
        options=RGB,
    ),
    repository="ServiceNow/seasonal-contrast@411e37e",
    file="main_bigearthnet.py",
    rows=("seco", "caco"),
    about="of CACo the reader of the data is public, a copy of SeCo's "
    "(utkarshmall13/CACo@719a825:src/datasets/bigearthnet_datamodule.py), its script is not: that "
    "its rates are SeCo's is unverified",
    columns=seco_columns("RGB, "),
    fields={
        "split": agrees(
            f"{MODULE}:41-57, datasets/bigearthnet_dataset.py:122-135",
            f"red, green and blue; {LISTS}",
        ),
        "size": agrees(f"{MODULE}:67"),
        "tile": agrees(f"{MODULE}:67", "whole patches"),
        "length": agrees("main_bigearthnet.py:38"),
        "batch": agrees(f"{TUNER}:69"),
        "optimizer": agrees(f"{TUNER}:61"),
        "lr": agrees(f"{TUNER}:70"),
        "weight_decay": agrees(f"{TUNER}:61", "none"),
        "schedule": agrees(f"{TUNER}:62, 72", "a tenth after epochs 60 and 80"),
        "warm_up": agrees(f"{TUNER}:57-63", "none"),
        "layer_decay": agrees(f"{TUNER}:58-61", "one rate for all layers"),
        "drop_path": agrees(f"{TUNER}:57-63", "none: a ResNet"),
        "precision": agrees("main_bigearthnet.py:87-93", "the trainer's default, float32"),
        "clip": agrees("main_bigearthnet.py:87-93", "the trainer's default, none"),
        "augment": agrees(f"{MODULE}:65-69", "none"),
        "mixing": agrees(f"{MODULE}:65-69", "none"),
        "head": agrees(f"{TUNER}:18-23, main_bigearthnet.py:74", "dropout and a linear classifier"),
        "features": differs(
            f"{TUNER}:32-33",
            "batch normalisation of the backbone keeps its statistics there and learns new ones "
            "here; features are standardised before the classifier here",
        ),
        "loss": agrees(f"{TUNER}:24", "mean over the classes"),
        "state": unknown(
            "the last is kept; that it is the printed one is not said; the last here",
            "main_bigearthnet.py:85",
        ),
        "views": agrees(f"{MODULE}:71-76", "whole"),
        "metric": differs(f"{TUNER}:54", SCORED),
    },
)

FOLDER = "src/benchmark/transfer_classification"
SCRIPT = f"{FOLDER}/linear_BE_moco_v3.py"
JOB = f"zhu-xlab/SSL4EO-S12@28d0792:{FOLDER}/scripts/benchmark/srun_ft_moco_vits16_s2c_BE.sh"
SSL4EO = SourcedRecipe(
    name="ssl4eo",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
        size=224,
        epochs=100,
        batch=256,
        lr=0.01,
        optimizer="sgd=0.9",
        schedule="cosine",
        layer_decay=1.0,
        state="last",
        augment=("resized_crop=0.8,1", "flip"),
        test_crop=224 / 256,
        loss="softmargin",
    ),
    repository="zhu-xlab/SSL4EO-S12@1dc0c83",
    file=SCRIPT,
    rows=("ssl4eo",),
    about="of MoCo v3 with ViT-S/16; its ResNet-50 has the rate 0.1",
    columns=seco_columns(),
    fields={
        "split": agrees(f"{JOB}:35, 38", f"all twelve bands, with zeros for the 13th; {LISTS}"),
        "size": agrees(SCRIPT, "train_transforms"),
        "tile": agrees(SCRIPT, "whole patches"),
        "length": agrees(f"{JOB}:42"),
        "batch": agrees(f"{JOB}:39", "64 on each of 4 GPUs (:5)"),
        "optimizer": agrees(SCRIPT, "SGD with momentum 0.9"),
        "lr": agrees(f"{JOB}:40"),
        "weight_decay": agrees(SCRIPT, "none, the script's default"),
        "schedule": agrees(f"{JOB}:41", "by epochs there, by steps here"),
        "warm_up": agrees(SCRIPT, "none"),
        "layer_decay": agrees(SCRIPT, "one rate for all layers"),
        "drop_path": agrees(SCRIPT, "none"),
        "precision": agrees(SCRIPT, "no mixed precision"),
        "clip": agrees(SCRIPT, "none"),
        "augment": agrees(SCRIPT, "train_transforms"),
        "mixing": agrees(SCRIPT, "none"),
        "head": agrees(SCRIPT, "a linear classifier"),
        "features": standardised(SCRIPT),
        "loss": agrees(SCRIPT, "mean over the classes"),
        "state": unknown(
            "the last of every fifth epoch is kept, and the best score recorded; which is printed "
            "is not said; the last here",
            SCRIPT,
        ),
        "views": agrees(SCRIPT, "val_transforms: 224 px cut from 256"),
        "metric": differs(SCRIPT, SCORED),
    },
)

BEN_MM = (OURS,)
BEN_S2 = (OURS, GFM, SECO, SSL4EO)
