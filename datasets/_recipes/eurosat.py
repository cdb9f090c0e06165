"""Recipe of EuroSAT, and what MTP's recipes of scene classification share."""

from __future__ import annotations

from collections.abc import Mapping

from skybench.core import FieldSource, Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

MTP = "ViTAE-Transformer/MTP@d5e84ff"
SCENES = "RS_Tasks_Finetune/Scene_Classification"
FILE = f"{SCENES}/configs/mtp/eurosat/vit-rvsa-l-224-mae-mtp_eurosat.py"
LOG = f"{SCENES}/logs/eurosat/rvsa-l-mae-mtp.json"

TRAINING = Recipe(
    "finetune",
    val="",
    epochs=100,
    batch=64,
    lr=6e-5,
    weight_decay=0.05,
    schedule="cosine",
    warm_up=5 / 100,
    layer_decay=0.9,
    drop_path=0.3,
    state="last",
    augment=("resized_crop", "flip", "randaugment=2,9,0.5", "erase=0.25"),
)


def mtp_fields(file: str) -> Mapping[str, FieldSource]:
    """Return the sources of what MTP's configurations have on the same lines for each data set."""
    return {
        "tile": agrees(f"{file}:116-154", "whole images"),
        "length": agrees(f"{file}:92"),
        "batch": agrees(f"{file}:157", "8 on each of 8 GPUs, as the steps of its log say"),
        "optimizer": agrees(f"{file}:61"),
        "lr": agrees(f"{file}:61", "not scaled: the log's highest is the same"),
        "weight_decay": agrees(f"{file}:61"),
        "schedule": agrees(f"{file}:82-88"),
        "warm_up": agrees(f"{file}:72-80"),
        "layer_decay": agrees(f"{file}:65"),
        "precision": agrees(f"{file}:59-67", "no mixed precision"),
        "clip": agrees(f"{file}:59-67", "none"),
        "augment": agrees(f"{file}:118-140", "bicubic there, bilinear here"),
        "mixing": agrees(f"{file}:116-142", "none"),
    }


RECIPES = (
    SourcedRecipe(
        name="mtp",
        kind="substitute",
        recipe=TRAINING,
        repository=MTP,
        file=FILE,
        about="of ViT-L; SkySense has no number on it",
        fields={
            **mtp_fields(FILE),
            "split": unknown(
                "16,200 images to learn from and 5,400 to score, as here, by the steps and scores "
                "of its log; which they are is not said",
                f"{FILE}:161, 172",
            ),
            "size": differs(f"{FILE}:120", "enlarged to 224 px; their own 64 px here"),
            "drop_path": agrees(f"{FILE}:192"),
            "head": agrees(f"{FILE}:207-213", "a linear classifier"),
            "features": standardised(f"{FILE}:207"),
            "loss": agrees(f"{FILE}:212"),
            "state": agrees(LOG, "98.78 at epoch 100, the last"),
            "views": differs(f"{FILE}:144-154", "224 px cut from 256; whole here"),
            "metric": agrees(f"{FILE}:177"),
        },
    ),
)
