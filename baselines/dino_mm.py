"""DINO-MM: one ViT-S/8 for Sentinel-2 and Sentinel-1 stacked to 14 channels.

It was trained with random sensor drop, so either sensor may be missing: its channels are then zeros
after normalisation.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L2A

from ._families.settings import variant_settings
from ._families.vit import VIT_S, ViTArch, image_setting, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


CARD = ModelCard(
    name="dino_mm",
    title="DINO-MM (ViT-S/8)",
    group="inferred",
    inputs=(
        Sensor("s2", L2A, 10.0, REFLECTANCE),
        Sensor("s1", ("vh", "vv"), 10.0, DB),  # in this order
    ),
    dim=1536,
    levels=((384, 8),),
    paper="Wang et al., DINO-MM, IGARSS 2022, arXiv:2204.05381",
    code=(
        "github:zhu-xlab/DINO-MM@45975d8 models/dino/vision_transformer.py, "
        "datasets/BigEarthNet/bigearthnet_dataset_seco_lmdb_B14.py, linear_dino_B14.py"
    ),
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="B14_vits8_dinomm_ep99.pth",
        obtain="Download it from https://huggingface.co/wangyi111/dino-mm.",
        licence="Apache-2.0 (the repository)",
        url="https://huggingface.co/wangyi111/dino-mm/resolve/main/B14_vits8_dinomm_ep99.pth",
        container="teacher",
        prefix="backbone.",
    ),
    pretraining="DINO on the training split of BigEarthNet-MM, sensors dropped at random.",
    trained_on=("ben_mm", "ben_s2"),
    normalisation=(
        "mean -+ 2 deviations of BigEarthNet to bytes, then / 255; Sentinel-1 is first cut off at "
        "each image's own 1st and 99th percentile; the loader named under code"
    ),
    pooling=(
        "normed class tokens of the last 4 blocks, side by side; linear_dino_B14.py, n_last_blocks"
    ),
    params=21_940_608,
    equivalent_to="timm vit_small_patch8_224 with 14 input channels, at 224 pixels alone",
    caveats=(
        "its place among SkySense's 18 baselines is inferred from weak evidence",
        "trained on crops of 112 pixels with positions for 224, which are interpolated by a factor "
        "for a size that is 0.1 larger: other interpolations read other places",
        "the authors resize to 128 pixels and cut out 112",
        "the file's hash is not published",
    ),
    min_pixels=112,
    multiple=8,
)

VARIANTS = {
    "full": dataclasses.replace(VIT_S, patch=8, channels=14, last=4),
    "tiny": ViTArch(image=32, patch=8, dim=32, depth=2, heads=2, channels=14, last=4),
}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.dino_mm import DinoMM

    chosen = variant_settings(VARIANTS, variant, arch)
    return DinoMM(dataclasses.replace(vit_card(CARD, chosen), min_pixels=chosen.image // 2), chosen)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the teacher, or of the student ("module."), to ours; the head is dropped."""
    return vit_keys(state, "backbone.")


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state))
