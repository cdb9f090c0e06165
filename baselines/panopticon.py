"""Panopticon: DINOv2 for images of any channels, optical or radar.

Published is ViT-B/14. "base" reads Sentinel-2, any of whose bands may lack, Sentinel-1, or both as
the channels of one image; "base_rgb" is the same network for RGB images.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, UsageError, WeightsSource
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
    "sentinel": (
        Sensor("s2", L1C, 10.0, REFLECTANCE),
        Sensor("s2_l2a", L2A, 10.0, REFLECTANCE),
        Sensor("s2_20m", tuple(b for b in L1C if b not in COARSE), 10.0, REFLECTANCE),
        Sensor("s2_rgb", RGB, 10.0, REFLECTANCE),
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    "rgb": (Sensor("hr", RGB, 0.0, UINT8),),
}


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    sensor: str = "sentinel"  # of INPUTS
    grid: int = 37  # patches along each side that the stored positions are for
    dim: int = 768
    depth: int = 12
    heads: int = 12
    inner: int = 2304  # width of the attention over the channels
    inner_heads: int = 16

    def vit(self) -> vits.Arch:
        """Those of the transformer."""
        return vits.Arch(14 * self.grid, 14, self.dim, self.depth, self.heads)


TINY = Arch(grid=3, dim=32, depth=2, heads=2, inner=48, inner_heads=2)
VARIANTS = {
    "base": Arch(),
    "base_rgb": Arch("rgb"),
    "tiny": TINY,
    "tiny_rgb": dataclasses.replace(TINY, sensor="rgb"),
}
PICK = {"full": ("base", "base_rgb"), "tiny": ("tiny", "tiny_rgb")}

CARD = ModelCard(
    name="panopticon",
    title="Panopticon (ViT-B/14)",
    row="extra",
    inputs=INPUTS["sentinel"],
    dim=768,
    levels=((768, 14),),
    paper="Waldmann et al., Panopticon, EarthVision (CVPR workshop) 2025, arXiv:2503.10845",
    code="github:Panopticon-FM/panopticon@5ad7f82 hubconf.py, dinov2/models/panopticon.py",
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="panopticon_vitb14_teacher.pth",
        obtain=(
            "Download panopticon_vitb14_teacher.pth from https://huggingface.co/lewaldm/panopticon."
        ),
        licence="not stated beside the file; the repository of the code is Apache-2.0",
        url=(
            "https://hf.co/lewaldm/panopticon/resolve/c8c2bb9555819e8b2bcedf5b3b00e3bf531554e7/"
            "panopticon_vitb14_teacher.pth"
        ),
        container="none; torchgeo's whole model: prefix model.",
        variants=("base", "base_rgb"),
    ),
    pretraining=(
        "DINOv2 over views of a place by different sensors and channels: fMoW (WorldView, RGB and "
        "Sentinel-2), SatlasPretrain, MMEarth and SpectralEarth."
    ),
    trained_on=("fmow_s2",),
    normalisation=(
        "(x - mean) / std: of Sentinel-2 and RGB as in pre-training on fMoW, of Sentinel-1 as in "
        "the authors' BigEarthNet (dinov2/data/datasets/fmow.py, benv2.py)"
    ),
    pooling="the normed class token (README.md)",
    params=98_975_232,
    equals="torchgeo panopticon_vitb14, but for how positions are interpolated",
    leads=(
        "Sentinel-2's wavelengths are those of the authors' satellites/sentinel2.yaml as a third "
        "party quotes it, B10's is ESA's: unverified. RGB images have those of the README.",
        "Pre-training scaled Sentinel-1 by MMEarth's statistics (dB) and SatlasPretrain's (bytes); "
        "the former are not in the repository. Its orbits are taken for unknown.",
        "Sentinel-2's statistics are those of level 1C; level 2A is read by the same.",
    ),
    min_pixels=224,
    multiple=14,
)
RGB_TITLE = "Panopticon (ViT-B/14, RGB)"


def card(variant: str, **arch: Any) -> ModelCard:
    """The card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, choose(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    made = dataclasses.replace(
        CARD,
        title=RGB_TITLE if arch.sensor == "rgb" else CARD.title,
        inputs=INPUTS[arch.sensor],
    )
    # The positions are made for larger images than pre-training had.
    smallest = 28 if variant.startswith("tiny") else CARD.min_pixels
    return dataclasses.replace(vits.fitted(made, arch.vit()), min_pixels=smallest)


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.panopticon import Panopticon

    chosen = choose(VARIANTS, variant, arch)
    if chosen.inner % 2 or chosen.inner % chosen.inner_heads:
        raise UsageError(
            f"Expected inner to be even and a multiple of {chosen.inner_heads} heads, but got "
            f"{chosen.inner}."
        )
    return Panopticon(_card(variant, chosen), chosen)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the published teacher, or torchgeo's model; the mask token is left out."""
    return vits.own_keys(state, "model.")
