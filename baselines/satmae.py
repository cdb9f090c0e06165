"""SatMAE: masked autoencoders of fMoW for RGB, for ten Sentinel-2 bands, and for three dates.

The variants are the published networks: "rgb" (ViT-L/16), "multispectral" (ViT-L/8) and
"multispectral_base" (ViT-B/8) with tokens for each of three groups of bands, and "temporal"
(ViT-L/16), which reads three images of a location with their dates.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from skybench.core import REFLECTANCE, UINT8, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import variant_settings
from ._families.vit import ViTArch, image_setting, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


@dataclass(frozen=True)
class Arch:
    """Settings of a network."""

    kind: Literal["rgb", "multispectral", "temporal"] = "rgb"
    image: int = 224  # side in pixels of the stored positional embedding
    patch: int = 16
    dim: int = 1024
    depth: int = 24
    heads: int = 16
    codes: int = 0  # channels of the positional embedding for the band group or date

    def vit(self) -> ViTArch:
        """The settings of the transformer itself."""
        return ViTArch(self.image, self.patch, self.dim, self.depth, self.heads)


VARIANTS = {
    "rgb": Arch(),
    "multispectral": Arch("multispectral", 96, 8, codes=256),
    "multispectral_base": Arch("multispectral", 96, 8, 768, 12, 12, codes=256),
    "temporal": Arch("temporal", codes=384),
    "tiny": Arch("rgb", 64, 16, 64, 4, 4),
    "tiny_multispectral": Arch("multispectral", 32, 8, 96, 4, 4, codes=32),
    "tiny_temporal": Arch("temporal", 64, 16, 64, 2, 4, codes=48),
}
PICK = {"full": ("rgb", "multispectral"), "tiny": ("tiny", "tiny_multispectral")}


def _weights(variant: str, path: str, missing: tuple[str, ...] = ()) -> WeightsSource:
    url, filename = f"https://zenodo.org/record/{path}", path.rpartition("/")[2]
    return WeightsSource(
        filename=filename,
        obtain=f"Download {filename} from Zenodo, {url}.",
        licence="CC BY-NC 4.0 (the authors' repository; mirrors at huggingface.co/MVRL say Apache)",
        url=url,
        container="model",
        noncommercial=True,
        missing=missing,
        variants=(variant,),
    )


CODE = "github:sustainlab-group/SatMAE@e31c11f"
CARD = ModelCard(
    name="satmae",
    title="SatMAE (RGB, ViT-L/16)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # fMoW: 0.3 m and coarser
    dim=1024,
    levels=((1024, 16),),
    paper="Cong et al., SatMAE, NeurIPS 2022, arXiv:2207.08051",
    code=f"{CODE} models_vit.py, util/datasets.py",
    licence="CC BY-NC 4.0; this adapter is skybench's own code",
    weights=_weights("rgb", "7369797/files/fmow_pretrain.pth"),
    pretraining="Masked autoencoding of fMoW's RGB images, 224 x 224 pixels, 800 epochs.",
    trained_on=("fmow_s2",),
    normalisation=f"(x / 255 - mean) / deviation of fMoW ({CODE} util/datasets.py)",
    pooling=(
        "mean of the last block's tokens but the class token, not normed: what the authors' "
        "fine-tuning (global_pool, main_finetune.py) gives to its new norm and head"
    ),
    params=303_301_632,
    equivalent_to="timm vit_large_patch16_224",
    caveats=(
        "fmow_s2 has the places of fMoW: the RGB networks saw them, though in other images.",
        "The authors normalise, then resize to 256 pixels and crop 224; here images are resized "
        "first, only if they are smaller than 224, and read whole.",
        "Scale-MAE's file has the same keys and shapes and is not told from this one.",
    ),
    min_pixels=224,
    multiple=16,
)
MULTISPECTRAL = dataclasses.replace(
    CARD,
    title="SatMAE (multi-spectral, ViT-L/8)",
    inputs=(Sensor("s2", S2_FINE, 10.0, REFLECTANCE),),
    code=f"{CODE} models_vit_group_channels.py, util/datasets.py",
    weights=_weights(
        "multispectral",
        "7338613/files/pretrain-vit-large-e199.pth",
        missing=("net.channel_cls_embed",),  # 0 there, as in pre-training
    ),
    pretraining="Masked autoencoding of fMoW-Sentinel, ten bands, 96 x 96 pixels, 200 epochs.",
    normalisation=(
        "mean -2..+2 deviations of fMoW-Sentinel to 0..255, rounded down, / 255 "
        f"({CODE} util/datasets.py, SentinelNormalize)"
    ),
    params=303_083_264,
    equivalent_to="",
    caveats=(
        "The authors normalise, then resize to 109 pixels and crop 96; here images are resized "
        "first, only if they are smaller than 96, and read whole.",
        "The statistics are those of fMoW-Sentinel, level 1C; none are published for level 2A.",
        "The map is the mean of the three groups' normed tokens at a place: ours, no dense use "
        "of this network is published.",
    ),
)
MULTISPECTRAL_BASE = dataclasses.replace(
    MULTISPECTRAL,
    title="SatMAE (multi-spectral, ViT-B/8)",
    weights=_weights(
        "multispectral_base",
        "7338613/files/pretrain-vit-base-e199.pth",
        missing=("net.channel_cls_embed",),
    ),
    params=85_625_856,
)
TEMPORAL = dataclasses.replace(
    CARD,
    title="SatMAE (temporal, ViT-L/16)",
    code=f"{CODE} models_vit_temporal.py, util/datasets.py",
    weights=_weights("temporal", "7369797/files/pretrain_fmow_temporal.pth"),
    pretraining="Masked autoencoding of three dates of fMoW's RGB images, 50 epochs.",
    params=303_225_984,
    equivalent_to="",
    caveats=(
        CARD.caveats[0],
        "Exactly three images are read. One date is read three times, of two the second twice, "
        "as the authors' data set does; it draws three of more at random, while here all are read "
        "in threes spread over the series, and the features averaged.",
        "The network also reads the hour, which no dataset here tells: it is always 10. A date "
        "that is not known is 1 July 2015.",
        "The map is the mean of the three dates' normed tokens at a place: ours.",
    ),
    temporal=True,
)
CARDS = {
    "rgb": CARD,
    "multispectral": MULTISPECTRAL,
    "multispectral_base": MULTISPECTRAL_BASE,
    "temporal": TEMPORAL,
}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    return vit_card(CARDS.get(variant, CARDS[arch.kind]), arch.vit())


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.satmae import MultiSpectralViT, TemporalViT, rgb_model

    chosen = variant_settings(VARIANTS, variant, arch)
    if chosen.codes >= chosen.dim:
        raise UsageError(f"Expected dim to be more than {chosen.codes} codes, got {chosen.dim}.")
    whole, vit = _card(variant, chosen), chosen.vit()
    if chosen.kind == "rgb":
        return rgb_model(whole, vit)
    several = MultiSpectralViT if chosen.kind == "multispectral" else TemporalViT
    return several(whole, vit, chosen.codes)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the pre-training file to ours; its decoder is dropped."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    groups = {f"net.{k}": t for k, t in bare.items() if k.startswith("channel_")}
    return vit_keys(bare) | groups


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network by the widths of its tokens and positional embedding."""
    ours = convert(state)
    if not {"net.cls_token", "net.pos_embed"} <= ours.keys():
        return ""
    grouped = "net.patch_embed.0.proj.weight" in ours
    widths = (grouped, ours["net.cls_token"].shape[-1], ours["net.pos_embed"].shape[-1])
    return {
        (False, 1024, 1024): "rgb",
        (False, 1024, 640): "temporal",
        (True, 1024, 768): "multispectral",
        (True, 768, 512): "multispectral_base",
    }.get(widths, "")
