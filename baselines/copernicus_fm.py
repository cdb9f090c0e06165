"""Copernicus-FM: one network for the Sentinels, which also reads place, time and scale.

Published is ViT-B/16. The variants are its uses here: for Sentinel-2, any of whose bands may lack
("base_s2"), for Sentinel-1 ("base_s1"), and for RGB images taken for reflectance ("base_rgb"): the
network is the same, but reads one at a time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L1C as L1C
from skybench.core.sensors import L2A

from ._families import vit as vits
from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

COARSE = ("coastal", "nir09", "cirrus")  # the bands with pixels of 60 m
RGB = ("red", "green", "blue")
INPUTS = {
    "s2": (
        Sensor("s2", L1C, 10.0, REFLECTANCE),
        Sensor("s2_l2a", L2A, 10.0, REFLECTANCE),
        Sensor("s2_20m", tuple(b for b in L1C if b not in COARSE), 10.0, REFLECTANCE),
        Sensor("s2_rgb", RGB, 10.0, REFLECTANCE),
    ),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
    "rgb": (Sensor("hr", RGB, 0.0, REFLECTANCE),),
}


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    sensor: str = "s2"  # of INPUTS
    image: int = 224  # side in pixels that the stored positions are for
    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12

    def vit(self) -> vits.Arch:
        """Those of the transformer."""
        return vits.Arch(self.image, self.patch, self.dim, self.depth, self.heads)


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
    row="extra",
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
    equals="torchgeo copernicusfm_base with norms of eps 1e-6, for squares and whole batches",
    leads=(
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
RGB_LEAD = (
    "The network was not trained on aerial images: their bytes are taken for reflectance by a "
    "convention, and their scale for unknown."
)


def card(variant: str, **arch: Any) -> ModelCard:
    """The card of a variant; `arch` overrides fields of `Arch`."""
    return _card(choose(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    made = dataclasses.replace(
        CARD,
        title=f"Copernicus-FM (ViT-B/16, {TITLES[arch.sensor]})",
        inputs=INPUTS[arch.sensor],
        leads=CARD.leads + ((RGB_LEAD,) if arch.sensor == "rgb" else ()),
    )
    return vits.fitted(made, arch.vit())


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.copernicus_fm import CopernicusFM

    chosen = choose(VARIANTS, variant, arch)
    return CopernicusFM(_card(chosen), chosen.vit())


BESIDE = ("norm", "head", "mask_token", "decoder", "teacher", "student")  # in files, but not here


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From a published encoder; what only pre-training needed, its last norm too, is left out."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    return {
        f"net.{key.removeprefix('fc_')}": tensor
        for key, tensor in bare.items()
        if not key.startswith(BESIDE) and "_dec" not in key.partition(".")[0]
    }
