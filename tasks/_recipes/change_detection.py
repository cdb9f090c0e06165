"""How change detection is trained: the recipes but for sizes, splits and options."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import DatasetCard, ProtocolName, Recipe

SEMANTIC = ("dyna_s2",)  # land cover of every date, not a mask of changes
# The head is the one of MTP's recipes (seen); the paper's BIT for LEVIR-CD is unverified. The
# schedule is ours: MTP fine-tunes for 100 to 150 epochs.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=256)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)
MTP = "ViTAE-Transformer/MTP@d5e84ff RS_Tasks_Finetune/Change_Detection/configs/mtp/"
LEVIR_CD = Recipe(
    "finetune",
    val="",
    epochs=150,
    batch=32,
    lr=6e-5,
    weight_decay=0.05,
    width=256,
    schedule="cosine",
    warm_up=5 / 150,
    layer_decay=0.9,
    drop_path=0.3,
    augment=("rotflip=20", "exchange=0.5", "photometric=10,0.8,1.2,0.8,1.2,10"),
    source=f"seen substitute: {MTP}levir/rvsa-l-unet-256-mae-mtp_levir.py, 32 as 4 pairs on each "
    "of 8 GPUs, which its log's 223 steps an epoch confirm; differs: the last state counts, there "
    "the best on validation is kept too, and the UNet's width; SkySense's supplement names BIT "
    "(unverified), which is not here",
)
FINETUNE = {
    "levir_cd": LEVIR_CD,
    "oscd": replace(
        LEVIR_CD,
        epochs=100,
        warm_up=5 / 100,
        augment=("rotflip=20", "exchange=0.5"),
        source=f"seen substitute: {MTP}oscd/rvsa-l-unet-96-mae-mtp_oscd_rgb.py, 32 as 4 pairs on "
        "each of 8 GPUs, which its log's 26 steps an epoch confirm; differs: reflectance where "
        "MTP has 8-bit RGB, so colours are not changed; the last state counts, and the UNet's "
        "width",
    ),
    # As many months as in 10,000 batches of 16: a series has 24.
    "dyna_s2": replace(
        LEVIR_CD,
        epochs=0,
        iterations=3_300,
        batch=2,
        weight_decay=0.01,
        schedule="poly",
        warm_up=330,
        layer_decay=1.0,
        drop_path=0.0,
        augment=("flip",),
        source="seen substitute: the recipe of semantic segmentation on the same data (kang-wu/"
        "SkySensePlusPlus@cb0c6b7 finetune/configs/atlantic.py), in batches of 2 series of 24 "
        "months, as many months in all; UperNet is what SkySense's supplement names (unverified)",
    ),
    "folder": replace(
        LEVIR_CD,
        epochs=100,
        batch=8,
        warm_up=0.05,
        drop_path=0.1,
        source="ours: for pairs of your own; rates and augmentation after MTP's for LEVIR-CD",
    ),
}


def recipe(dataset: DatasetCard, protocol: ProtocolName) -> Recipe:
    """The recipe but for sizes, splits and options."""
    if protocol == "finetune":
        return FINETUNE.get(dataset.name, FINETUNE["folder"])
    found = replace(LINEAR if protocol == "linear" else FROZEN, protocol=protocol)
    # A series has 24 dates.
    return replace(found, batch=2) if dataset.name in SEMANTIC else found
