"""What the tasks that give every pixel a class share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import (
    CannotRun,
    DatasetCard,
    Head,
    Metric,
    ModelCard,
    ProtocolName,
    Recipe,
)

# Potsdam is scored by mean F1, PASTIS by overall accuracy, all others by mean IoU.
MAIN = {"potsdam": "mf1", "pastis_mm": "oa"}
BACKGROUND = ("isaid", "pastis_mm")  # class 0 is a background that some papers leave out
PROTOCOLS: Mapping[ProtocolName, str] = {
    "linear": "a 1x1 convolution on the frozen feature pyramid",
    "frozen": "UPerNet with an FCN auxiliary head on the frozen feature pyramid",
    "finetune": "UPerNet with an FCN auxiliary head; the backbone learns too, with layer-wise "
    "decay, drop path and augmentation",
}
# The official fine-tuning of iSAID takes 80,000 iterations; on frozen, cached features far fewer
# suffice. These two are ours. Nothing is selected, so no validation split is read.
FROZEN = Recipe("frozen", val="", epochs=20, batch=16, lr=1e-3, weight_decay=0.01, width=512)
LINEAR = Recipe("linear", val="", epochs=20, batch=16, lr=1e-2, weight_decay=0.0)
ISAID = Recipe(
    "finetune",
    val="",
    iterations=80_000,
    batch=16,
    lr=6e-5,
    weight_decay=0.01,
    width=512,
    schedule="poly",
    warm_up=1500,
    layer_decay=0.9,
    drop_path=0.2,
    augment=("resize_crop=0.5,2,0.75", "flip", "photometric"),
    source="official: segmentation/configs/swin_transformer_v2/"
    "upernet_swinv2_huge_patch4_window8_896x896_80k_isaid.py (copy in Bili-Sakura/SkySense@107d4e0)"
    "; differs: 16 images in one process, there 2 on each of 8 GPUs; the loss is a mean over "
    "labelled pixels, in mmseg 0.30 over all (unverified)",
)
# A rate for all layers is how the authors' later recipes for their Sentinel-2 branch have it.
SENTINEL = Recipe(
    "finetune",
    val="",
    iterations=10_000,
    batch=16,
    lr=6e-5,
    weight_decay=0.01,
    width=512,
    schedule="poly",
    warm_up=1000,
    layer_decay=1.0,
    augment=("flip",),
    source="seen substitute: kang-wu/SkySensePlusPlus@cb0c6b7 finetune/configs/atlantic.py, by "
    "SkySense's authors for their Sentinel-2 branch on another dataset, 16 as 2 images on each of "
    "8 GPUs (one on each at 2af5223); UperNet and 256 px are what SkySense's supplement names "
    "(unverified); left out: dropout 0.1 in the backbone",
)
DYNAMIC = replace(
    ISAID,
    iterations=10_000,
    warm_up=1000,
    augment=("resize_crop=0.5,2,0.75", "flip"),
    source="seen substitute: SkySense's official recipe for iSAID, with the length (10,000 "
    "iterations, 1,000 of warm-up) of kang-wu/SkySensePlusPlus@cb0c6b7 finetune/configs/"
    "atlantic.py, for there are 1,320 images, not 33,978; UperNet and 1024 px are what SkySense's "
    "supplement names (unverified); left out: colours, which reflectance has not",
)
FINETUNE = {
    "isaid": ISAID,
    "potsdam": replace(
        ISAID,
        iterations=160_000,
        weight_decay=0.05,
        drop_path=0.1,
        source="seen substitute: ViTAE-Transformer/Remote-Sensing-RVSA@3899ef2 Semantic "
        "Segmentation/configs/vit_base_win/upernet_vit_base_win_rvsa_v3_512x512_160k_potsdam_rgb_"
        "dpr10_lr6e5_lrd90_ps16_class5_ignore5.py, 2 images a GPU; the number of GPUs is unknown: "
        "16 takes 8 of them, as for iSAID; UperNet and 512 px are also what SkySense's supplement "
        "names (unverified)",
    ),
    "dyna_pla": DYNAMIC,
    "dyna_s2": SENTINEL,
    "dyna_mm": replace(
        DYNAMIC,
        source="seen substitute: as for dyna_pla, on all sensors together; SkySense's supplement "
        "names UperNet on fused features (unverified), nothing else is known; left out: its "
        "geo-context prototypes",
    ),
    "pastis_mm": replace(
        SENTINEL,
        iterations=20_000,
        lr=1e-4,
        warm_up=2000,
        source="seen substitute: kang-wu/SkySensePlusPlus@2af5223 finetune/configs/germany.py, by "
        "SkySense's authors for crops in Sentinel-2 series, 16 as 2 samples on each of 8 GPUs; "
        "left out: drop path 0.3 of its fusion, dropout 0.1 in the backbone; differs: patches of "
        "128 px for its 24 px, twelve dates for its 30",
    ),
    "folder": replace(
        ISAID,
        iterations=0,
        epochs=50,
        batch=8,
        warm_up=0.05,
        drop_path=0.1,
        augment=("resize_crop=0.5,2,0.75", "flip", "vflip", "photometric"),
        source="ours: for images of your own; rates, schedule and augmentation after SkySense's "
        "for iSAID, for 50 epochs",
    ),
}


def recipe(dataset: DatasetCard, protocol: ProtocolName) -> Recipe:
    """The recipe but for splits and options."""
    if protocol == "finetune":
        return FINETUNE.get(dataset.name, FINETUNE["folder"])
    return replace(LINEAR if protocol == "linear" else FROZEN, protocol=protocol)


def demo(recipe: Recipe, tile: int) -> Recipe:
    """Small tiles, a narrow head, few steps."""
    width = min(recipe.width, 32)
    recipe = replace(recipe, epochs=12, iterations=0, batch=2, tile=tile, width=width)
    if recipe.protocol != "finetune":
        return recipe
    return replace(recipe, lr=1e-3, warm_up=0.1, drop_path=0.0)


def head(recipe: Recipe, model: ModelCard, dataset: DatasetCard) -> Head:
    """A 1x1 convolution (linear) or UPerNet with an FCN auxiliary head (frozen)."""
    from skybench.heads.dense import Dense, Linear, UPerNet

    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
    build = Linear if recipe.protocol == "linear" else UPerNet
    return Dense(build, model.levels, len(dataset.classes), recipe)


def metric(dataset: DatasetCard) -> Metric:
    """mIoU, mF1 and OA from one confusion matrix per image."""
    from skybench.metrics.segmentation import Segmentation

    main = MAIN.get(dataset.name, "miou")
    background = dataset.name in BACKGROUND and dataset.classes[0] == "background"
    return Segmentation(dataset.classes, main, background=background)
