"""Copernicus-FM: one network for all Sentinels, which also reads location, time and patch area.

The published network is a ViT-B/16. The variants are its uses here, for Sentinel-2 with any subset
of bands ("base_s2"), Sentinel-1 ("base_s1") and RGB images interpreted as reflectance ("base_rgb"):
the same network, which reads one sensor at a time.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from skybench.core import REFLECTANCE, ModelCard, Sensor, WeightsSource

from ._families.any_band import RGB, SENTINEL1, SENTINEL2
from ._families.settings import variant_settings
from ._families.vit import SensorArch as Arch
from ._families.vit import image_setting, vit_card

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": SENTINEL2,
    "s1": (SENTINEL1,),
    "rgb": (Sensor("hr", RGB, 0.0, REFLECTANCE),),
}


TINY = Arch(image=32, dim=32, depth=2, heads=2)
VARIANTS = {f"base_{sensor}": Arch(sensor) for sensor in INPUTS} | {
    "tiny": TINY,
    "tiny_s1": dataclasses.replace(TINY, sensor="s1"),
    "tiny_rgb": dataclasses.replace(TINY, sensor="rgb"),
}
PICK = {
    "full": ("base_s2", "base_s1", "base_rgb"),
    "tiny": ("tiny", "tiny_s1", "tiny_rgb"),
}
TITLES = {"s2": "Sentinel-2", "s1": "Sentinel-1", "rgb": "RGB"}

CARD = ModelCard(
    name="copernicus_fm",
    title="Copernicus-FM (ViT-B/16, Sentinel-2)",
    group="extra",
    inputs=INPUTS["s2"],
    dim=768,
    levels=((768, 16),),
    paper="Wang et al., Copernicus-FM, ICCV 2025, arXiv:2503.11849",
    code=(
        "github:zhu-xlab/Copernicus-FM@da95635 Copernicus-FM/src/model_vit.py, "
        "dynamic_hypernetwork.py, main_pretrain.py; Copernicus-Bench/src/configs/dataset"
    ),
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="CopernicusFM_ViT_base_varlang-085350e4.pth",
        obtain=(
            "Download the file, torchgeo's copy, from its URL. The authors' "
            "CopernicusFM_ViT_base_varlang_e100.pth (https://huggingface.co/wangyi111/Copernicus-FM)"
            " works too (--weights PATH)."
        ),
        licence="CC-BY-4.0",
        url=(
            "https://huggingface.co/torchgeo/copernicus-fm/resolve/"
            "f395812cc990ba25a451dbb9c9e6d95c8482947e/CopernicusFM_ViT_base_varlang-085350e4.pth"
        ),
        sha256="085350e4",
        container="none or model",
        missing=("net.norm.*",),  # of pooled features: new in every use
        variants=tuple(v for v in VARIANTS if not v.startswith("tiny")),
    ),
    pretraining=(
        "Masked autoencoding of Copernicus-Pretrain (Sentinel-1, -2 at level 1C, -3, -5P and "
        "elevation, all over the world) with distillation of DINOv2, 100 epochs."
    ),
    normalisation="(x - mean) / std of the pre-training images (main_pretrain.py)",
    pooling="norm of the mean of the last block's tokens but the class token (model_vit.py)",
    params=139_452_544,
    equivalent_to=(
        "torchgeo copernicusfm_base with norms of eps 1e-6, for squares and whole batches"
    ),
    caveats=(
        "Place and day are given where the dataset has them; else, sample by sample, the learned "
        "tokens stand for them (the authors decide for a whole batch). The scale is of patches "
        "of 16 pixels of 10 m, even if the images were resized, as in Copernicus-Bench.",
        "Copernicus-Bench scales BigEarthNet and EuroSAT by other statistics than the "
        "pre-training's; here they are always the latter.",
        "The norm of `pooled` is in no published file; it begins with weight 1 and bias 0.",
        "The embedding of variables that have no wavelength (Sentinel-5P, elevation) is loaded and "
        "checked, but no dataset here has them.",
    ),
    min_pixels=224,
    multiple=16,
)
RGB_CAVEAT = (
    "The network was not trained on aerial images: their bytes are taken for reflectance by a "
    "convention, and their scale for unknown."
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant_settings(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    base = dataclasses.replace(
        CARD,
        title=f"Copernicus-FM (ViT-B/16, {TITLES[arch.sensor]})",
        inputs=INPUTS[arch.sensor],
        caveats=CARD.caveats + ((RGB_CAVEAT,) if arch.sensor == "rgb" else ()),
    )
    return vit_card(base, arch.vit())


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.copernicus_fm import CopernicusFM

    chosen = variant_settings(VARIANTS, variant, arch)
    return CopernicusFM(_card(chosen), chosen.vit())


BESIDE = ("norm", "head", "mask_token", "decoder", "teacher", "student")  # in files, but not here


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a published encoder's keys to ours, without its last norm and pre-training parts."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    return {
        f"net.{key.removeprefix('fc_')}": tensor
        for key, tensor in bare.items()
        if not key.startswith(BESIDE) and "_dec" not in key.partition(".")[0]
    }


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state), 16)
