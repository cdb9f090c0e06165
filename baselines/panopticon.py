"""Panopticon: DINOv2 for images of any channels, optical or radar.

The published network is a ViT-B/14. "base" reads Sentinel-2 with any subset of bands, Sentinel-1,
or both as channels of one image; "base_rgb" is the same network for RGB images.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, UsageError, WeightsSource

from ._families.any_band import RGB, SENTINEL1, SENTINEL2
from ._families.settings import variant_settings
from ._families.vit import ViTArch, image_setting, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "sentinel": (*SENTINEL2, SENTINEL1),
    "rgb": (Sensor("hr", RGB, 0.0, UINT8),),
}


PATCH = 14  # pixels


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    sensor: str = "sentinel"  # of INPUTS
    grid: int = 37  # patches per side of the stored positional embedding
    dim: int = 768
    depth: int = 12
    heads: int = 12
    inner: int = 2304  # width of the attention over the channels
    inner_heads: int = 16

    def vit(self) -> ViTArch:
        """The settings of the transformer itself."""
        return ViTArch(PATCH * self.grid, PATCH, self.dim, self.depth, self.heads)


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
    group="extra",
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
    equivalent_to="torchgeo panopticon_vitb14, but for how positions are interpolated",
    caveats=(
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
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    base = dataclasses.replace(
        CARD,
        title=RGB_TITLE if arch.sensor == "rgb" else CARD.title,
        inputs=INPUTS[arch.sensor],
    )
    # The positional embedding is for larger images than those of pre-training.
    smallest = 28 if variant.startswith("tiny") else CARD.min_pixels
    return dataclasses.replace(vit_card(base, arch.vit()), min_pixels=smallest)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.panopticon import Panopticon

    chosen = variant_settings(VARIANTS, variant, arch)
    if chosen.inner % 2 or chosen.inner % chosen.inner_heads:
        raise UsageError(
            f"Expected inner to be even and a multiple of {chosen.inner_heads} heads, but got "
            f"{chosen.inner}."
        )
    return Panopticon(_card(variant, chosen), chosen.vit(), chosen.inner, chosen.inner_heads)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the published teacher, or of torchgeo's model; the mask token is dropped."""
    return vit_keys(state, "model.")


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `grid` that the positional embedding in a file decides."""
    side = image_setting(convert(state), PATCH).get("image", 0)
    return {"grid": side // PATCH} if side else {}
