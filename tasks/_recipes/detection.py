"""What the two detection tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import CannotRun, DatasetCard, ModelCard, ProtocolName, Recipe

# Images, splits and epochs are those of SkySense's recipe for DIOR (mmdetection, batch of 8); the
# learning rate is ours: only the head learns. Nothing is selected, so no validation split is read.
FROZEN = Recipe(
    "frozen",
    train="trainval",
    val="",
    size=800,
    epochs=12,
    batch=8,
    lr=3e-4,
    weight_decay=0.05,
    width=256,
    source="ours: the paper's head and 12 epochs on frozen features",
)


MTP = "ViTAE-Transformer/MTP@d5e84ff RS_Tasks_Finetune/Rotated_Detection/"
DIOR = replace(
    FROZEN,
    protocol="finetune",
    lr=1e-4,
    schedule="step",
    warm_up=1000,
    layer_decay=0.9,
    drop_path=0.2,
    augment=("flip",),
    source="official: detection/configs/swin_transformer_v2/"
    "faster_rcnn_swinv2_huge_patch4_window8_fpn-1x_dior.py (copy in Bili-Sakura/SkySense@107d4e0); "
    "differs: 8 images in one process, there 1 on each of 8 GPUs; images without objects are "
    "learned from too",
)
DIOR_R = replace(
    DIOR,
    batch=4,
    warm_up=500,
    drop_path=0.3,
    augment=("flip", "vflip"),
    source=f"seen substitute: {MTP}mmrotate1.x/configs/mtp/dior-r/"
    "oriented_rcnn_rvsa_l_800_mae_mtp_diorr.py, 4 as 1 image on each of 4 GPUs, which its log's "
    "2,932 steps an epoch confirm; Oriented R-CNN and 800 px are also what SkySense's supplement "
    "names (unverified); differs: images without objects are learned from too",
)
FINETUNE = {
    "dior": DIOR,
    "dior_r": DIOR_R,
    "fair1m": replace(
        DIOR_R,
        batch=8,
        augment=("flip", "vflip", "rotate"),
        source=f"seen substitute: {MTP}mmrotate0.3.4/configs/mtp/fair1m20/"
        "oriented_rcnn_rvsa_l_800_mae_mtp_fair1m20_branches.py; how many GPUs had 8 tiles each is "
        "unknown: one of them here; differs: learns on train and is scored on val, for the "
        "test boxes are the server's; tiles of 1024 px, seen whole, for its 800 px; all classes "
        "are turned by any angle, there two by quarters; warm-up from 0, there from a third",
    ),
    "folder": replace(
        DIOR,
        warm_up=0.1,
        drop_path=0.1,
        augment=("flip", "vflip"),
        source="ours: for images of your own; rates and epochs after SkySense's for DIOR",
    ),
}
PROTOCOLS: Mapping[ProtocolName, str] = {
    "frozen": "{} on the frozen feature pyramid",
    "finetune": "{}; the backbone learns too, with layer-wise decay, drop path and augmentation",
}

TILED = ("fair1m", "folder")  # what is read are tiles of larger images


def protocols(head: str) -> dict[ProtocolName, str]:
    """The explanations, with the head's name."""
    return {name: text.format(head) for name, text in PROTOCOLS.items()}


def base(protocol: ProtocolName, dataset: DatasetCard) -> Recipe:
    """The recipe; of a user's folder train to test, tiles as they are read."""
    recipe = replace(FROZEN, protocol=protocol)
    if protocol == "finetune":
        recipe = FINETUNE.get(dataset.name, FINETUNE["folder"])
    if not dataset.yours:
        return recipe
    return replace(recipe, train="train", size=0)


def demo(recipe: Recipe) -> Recipe:
    """A narrow head on enlarged images: their objects are smaller than the smallest anchor."""
    recipe = replace(recipe, size=256, epochs=5, batch=2, lr=1e-3, width=64)
    if recipe.protocol != "finetune":
        return recipe
    return replace(recipe, warm_up=0.1, drop_path=0.0)


def require_maps(model: ModelCard) -> None:
    """Raises CannotRun for a model without feature maps."""
    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
