"""Prithvi: masked autoencoders of series of six bands of Harmonized Landsat and Sentinel-2.

The variants are the published networks: "v1_100" (Prithvi-EO-1.0), and "v2_tiny_tl" to "v2_600_tl"
(Prithvi-EO-2.0); variants with "tl" also read the time of each image and the location.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from skybench.core import REFLECTANCE, ModelCard, Sensor, WeightsSource

from ._families.prithvi import Arch
from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

S2_BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")  # B2, B3, B4, B8A, B11, B12


VARIANTS = {
    "v1_100": Arch(),
    "v2_tiny_tl": Arch(2, frames=1, dim=192, heads=3, located=True),
    "v2_100_tl": Arch(2, frames=4, located=True),
    "v2_300": Arch(2, frames=4, dim=1024, depth=24, heads=16),
    "v2_300_tl": Arch(2, frames=4, dim=1024, depth=24, heads=16, located=True),
    "v2_600": Arch(2, patch=14, frames=4, dim=1280, depth=32, heads=16),
    "v2_600_tl": Arch(2, patch=14, frames=4, dim=1280, depth=32, heads=16, located=True),
    "tiny": Arch(image=32, dim=32, depth=2, heads=2),
    "tiny_tl": Arch(2, image=32, frames=4, dim=32, depth=2, heads=2, located=True),
}
PICK = {"full": ("v1_100",), "tiny": ("tiny",)}


def _weights(variant: str, repository: str, filename: str) -> WeightsSource:
    page = f"https://huggingface.co/ibm-nasa-geospatial/{repository}"
    return WeightsSource(
        filename=filename,
        obtain=f"Download {filename} from {page}.",
        licence="Apache-2.0",
        url=f"{page}/resolve/main/{filename}",
        prefix="encoder.",
        missing=("net.pos_embed",),  # computed, so not needed from a file
        variants=(variant,),
    )


TERRATORCH = "github:terrastackai/terratorch@f111497 terratorch/models"
CARD = ModelCard(
    name="prithvi",
    title="Prithvi-EO-1.0 (100M)",
    group="inferred",
    inputs=(Sensor("s2", S2_BANDS, 30.0, REFLECTANCE),),
    dim=768,
    levels=((768, 16),),
    paper=(
        "Jakubik et al., Foundation Models for Generalist Geospatial Artificial Intelligence, "
        "2023, arXiv:2310.18660"
    ),
    code="github:IBM/terratorch@85467a9 terratorch/models/backbones/prithvi_mae.py",
    licence="Apache-2.0",
    weights=_weights("v1_100", "Prithvi-EO-1.0-100M", "Prithvi_EO_V1_100M.pt"),
    pretraining=(
        "Masked autoencoding of three dates of Harmonized Landsat and Sentinel-2 (surface "
        "reflectance, 30 m) over the contiguous United States, 224 x 224 pixels."
    ),
    normalisation=(
        "(x - mean) / standard deviation of its pre-training data "
        f"({TERRATORCH}/backbones/prithvi_vit.py)"
    ),
    pooling=(
        "mean of the last block's normed tokens but the class token, over places and dates; "
        f"terratorch drops the class token and averages places ({TERRATORCH}/heads/scalar_head.py)"
    ),
    params=86_237_184,
    caveats=(
        "terratorch stacks the dates' maps as channels, which needs the same number of dates "
        "everywhere; that they are averaged here, in `pooled` and in the map, is ours.",
        "Pre-training read three dates (second generation: four). Longer series are read in "
        "parts of so many, spread over the series, and averaged; shorter ones as they are.",
        "It was trained on surface reflectance of 30 m: images of 10 m and of level 1C are another "
        "scale and brighter in the blue.",
        "Its row in SkySense's tables is inferred from a citation; which file it was is not known.",
    ),
    temporal=True,
    min_pixels=224,
    multiple=16,
)


def _second(variant: str, size: str, params: int) -> ModelCard:
    """Return the card of a network of the second generation."""
    located = variant.endswith("_tl")
    caveats = (
        "Time and place are given as (year, day of the year) and (latitude, longitude), as "
        "terratorch documents; the authors' demonstration (inference.py) passes (longitude, "
        "latitude). Which one pre-training had is not verified.",
        "Where a date or a place is not known, nothing is added: pre-training left it out at "
        "random too.",
    )
    one = (
        "Dates are read one at a time: terratorch's settings of this network say one, the "
        "authors' demonstration speaks of four.",
    )
    return dataclasses.replace(
        CARD,
        title=f"Prithvi-EO-2.0 ({size})",
        paper="Szwarcman et al., Prithvi-EO-2.0, 2024, arXiv:2412.02732",
        weights=_weights(
            variant, f"Prithvi-EO-2.0-{size}", f"Prithvi_EO_V2_{size.replace('-', '_')}.pt"
        ),
        pretraining=(
            "Masked autoencoding of four dates of Harmonized Landsat and Sentinel-2 (surface "
            "reflectance, 30 m) all over the world, 4.2 million series, 224 x 224 pixels."
        ),
        params=params,
        caveats=CARD.caveats[:3] + located * caveats + (variant == "v2_tiny_tl") * one,
    )


CARDS = {
    "v1_100": CARD,
    "v2_tiny_tl": _second("v2_tiny_tl", "tiny-TL", 5_634_050),
    "v2_100_tl": _second("v2_100_tl", "100M-TL", 86_237_186),
    "v2_300": _second("v2_300", "300M", 303_886_336),
    "v2_300_tl": _second("v2_300_tl", "300M-TL", 303_886_338),
    "v2_600": _second("v2_600", "600M", 631_188_480),
    "v2_600_tl": _second("v2_600_tl", "600M-TL", 631_188_482),
}
# Reduced network -> the published network whose card it has.
REDUCED = {"tiny": "v1_100", "tiny_tl": "v2_300_tl"}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    return dataclasses.replace(
        CARDS[REDUCED.get(variant, variant)],
        dim=arch.dim,
        levels=((arch.dim, arch.patch),),
        min_pixels=arch.image,
        multiple=arch.patch,
    )


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.prithvi import PrithviModel

    chosen = variant_settings(VARIANTS, variant, arch)
    check_width(chosen.dim, 16)
    return PrithviModel(_card(variant, chosen), chosen)


PARTS = (
    "cls_token", "pos_embed", "patch_embed", "temporal_embed_enc", "location_embed_enc", "blocks",
    "norm",
)  # fmt: skip


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the whole autoencoder to ours; older files lack the prefix "encoder."."""
    bare = {
        key.removeprefix("module.").removeprefix("encoder."): tensor
        for key, tensor in state.items()
    }
    return {f"net.{k}": t for k, t in bare.items() if k.partition(".")[0] in PARTS}


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network by its width and time encoder; "" if none fits."""
    ours = convert(state)
    first, kernel = ours.get("net.cls_token"), ours.get("net.patch_embed.proj.weight")
    if first is None or kernel is None or kernel.ndim != 5:
        return ""
    kind = (first.shape[-1], "net.temporal_embed_enc.scale" in ours)
    return {(a.dim, a.located): v for v, a in VARIANTS.items() if v in CARDS}.get(kind, "")
