"""MTP: ViT-B and ViT-L with RVSA, pre-trained as MAE, then by supervised multi-task learning.

The tasks are semantic and instance segmentation and oriented detection on SAMRS, whose images are
those of DOTA 2.0, DIOR and FAIR1M. Unlike RVSA's own files, these hold the whole network with its
windows and levels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.rvsa import RVSAArch, grid_of, rvsa_card, rvsa_keys
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

VIT_B = RVSAArch()
VIT_L = RVSAArch(dim=1024, depth=24, heads=16, interval=6, taken=(7, 11, 15, 23))
VARIANTS = {
    "vit_b_rvsa": VIT_B,
    "vit_l_rvsa": VIT_L,
    "tiny": replace(VIT_B, dim=32, depth=4, heads=4, grid=8, interval=2, taken=(0, 1, 2, 3)),
}
PICK = {"full": ("vit_b_rvsa",), "tiny": ("tiny",)}

OBTAIN = (
    "Open https://1drv.ms/f/s!AimBgYV7JjTlgcpa7t2sywuWOm3HQA?e=LAh8WN or "
    "https://pan.baidu.com/s/1Zh6yv2AouboGEP4phyR7xA?pwd=yqv9 in a browser and download the "
    "backbone weights of MAE + MTP, {}; save them under this name."
)
WEIGHTS = WeightsSource(
    filename="last_vit_b_rvsa_ss_is_rd_pretrn_model_encoder.pth",
    obtain=OBTAIN.format("ViT-B+RVSA"),
    licence="not stated for the file; the repository is MIT",
    container="state_dict",
    prefix="encoder.",
    variants=("vit_b_rvsa",),
)
CARD = ModelCard(
    name="mtp",
    title="MTP (ViT-B + RVSA)",
    group="extra",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=768,
    levels=((768, 4), (768, 8), (768, 16), (768, 32)),
    paper="Wang et al., MTP, JSTARS 2024, arXiv:2403.13430",
    code=(
        "github:ViTAE-Transformer/MTP@13cc2b7 Multi-Task_Pretrain/backbone/vit_win_rvsa_v3_wsz7.py"
    ),
    licence="MIT",
    weights=WEIGHTS,
    pretraining=(
        "Masked autoencoder on MillionAID, then semantic and instance segmentation and oriented "
        "detection together on SAMRS: 17,480 tiles of DOTA 2.0, 11,725 images of DIOR and 64,147 "
        "tiles of FAIR1M 2.0, all of train and val (Multi-Task_Pretrain/main_pretrain.py)."
    ),
    trained_on=("millionaid", "dior", "dior_r", "fair1m", "isaid"),
    normalisation="ImageNet's mean and deviation of x / 255 (RS_Tasks_Finetune/*/configs/mtp)",
    pooling=(
        "mean of the last block's tokens without a norm (GlobalAveragePooling in "
        "RS_Tasks_Finetune/Scene_Classification/configs/mtp)"
    ),
    params=93_291_328,  # with positions for 224 pixels; the last norm is unused
    caveats=(
        "DOTA's images of train and val, DIOR's and FAIR1M's too were in the pre-training, with "
        "their boxes and masks made from these; iSAID's are DOTA's. Cells on them are marked.",
        "The positions may be of 224 or of 448 pixels (the authors' paths name vit_b_rvsa_224 and "
        "vit_l_rvsa_448); the file decides.",
        "At other sizes positions are interpolated, relative ones too, as the authors do for "
        "scene classification; their RVSA_MTP for detection starts relative positions anew.",
        "Levels come from four blocks, as in pre-training and the authors' RVSA_MTP_branches; "
        "their RVSA_MTP for detection reads the normed last block at all levels.",
        "InternImage-XL is left out: it needs a compiled operator (DCNv3).",
        "No file was at hand to try.",
    ),
    min_pixels=224,
    multiple=32,
)
LARGE = replace(
    CARD,
    title="MTP (ViT-L + RVSA)",
    params=317_628_800,
    weights=replace(
        WEIGHTS,
        filename="last_vit_l_rvsa_ss_is_rd_pretrn_model_encoder.pth",
        obtain=OBTAIN.format("ViT-L+RVSA"),
        variants=("vit_l_rvsa",),
    ),
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, settings: RVSAArch) -> ModelCard:
    base = LARGE if variant == "vit_l_rvsa" else CARD
    return rvsa_card(base, settings)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.rvsa import RVSARGB

    settings = variant_settings(VARIANTS, variant, arch)
    return RVSARGB(_card(variant, settings), settings, normed=False)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the backbone's file, or of the whole model with its decoders, to ours."""
    return rvsa_keys(state)


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `grid` that a file's positional embedding decides."""
    return grid_of(rvsa_keys(state))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant by its width; "" if none fits."""
    first = rvsa_keys(state).get("net.patch_embed.proj.weight")
    widths = {768: "vit_b_rvsa", 1024: "vit_l_rvsa"}
    return "" if first is None else widths.get(len(first), "")
