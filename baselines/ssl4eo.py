"""SSL4EO-S12: ResNets and Vision Transformers for Sentinel-2, its RGB alone, and Sentinel-1.

"full" is MoCo-v2's ResNet-50 for the given sensor: the 91.8 % on BigEarthNet in the authors' README
is SSL4EO's score in SkySense's tables. The other networks have their own variants.

The networks for Sentinel-2 were trained on level 1C, 13 bands. A second input, "s2_l2a", takes the
12 bands of level 2A, with zeros for B10, as the authors do for BigEarthNet.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L1C, L2A

from ._families.resnet import (
    RESNET18,
    RESNET50,
    TINY_RESNET50,
    ResNetArch,
    identify_resnet,
    resnet_card,
    resnet_keys,
)
from ._families.settings import variant_settings
from ._families.ssl4eo import PUBLISHED
from ._families.vit import (
    TINY_VIT,
    VIT_B,
    VIT_H,
    VIT_L,
    VIT_S,
    ViTArch,
    image_setting,
    vit_card,
    vit_keys,
)

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": (Sensor("s2", L1C, 10.0, REFLECTANCE), Sensor("s2_l2a", L2A, 10.0, REFLECTANCE)),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
    "rgb": (Sensor("s2_rgb", ("red", "green", "blue"), 10.0, REFLECTANCE),),
}


class Network(NamedTuple):
    """A published architecture."""

    title: str
    arch: ResNetArch | ViTArch
    tiny: ResNetArch | ViTArch
    equivalent_to: str  # the stock network


NETWORKS = {
    "resnet50": Network("ResNet-50", RESNET50, TINY_RESNET50, "torchvision resnet50"),
    "resnet18": Network("ResNet-18", RESNET18, TINY_RESNET50, "torchvision resnet18"),
    "vit_small": Network("ViT-S/16", VIT_S, TINY_VIT, "timm vit_small_patch16_224"),
    "vit_base": Network("ViT-B/16", VIT_B, TINY_VIT, "timm vit_base_patch16_224"),
    "vit_large": Network("ViT-L/16", VIT_L, TINY_VIT, "timm vit_large_patch16_224"),
    "vit_huge": Network("ViT-H/14", VIT_H, TINY_VIT, "timm vit_huge_patch14_224"),
}
METHODS = {"moco": "MoCo", "dino": "DINO", "mae": "MAE"}

REDUCED = {  # of which published network
    "tiny": "moco_resnet50_s2",
    "tiny_s1": "moco_resnet50_s1",
    "tiny_rgb": "moco_resnet50_rgb",
    "tiny_vit": "mae_vit_small_s2",
    "tiny_dino_vit": "dino_vit_small_s2",
}
PICK = {
    "full": ("moco_resnet50_s2", "moco_resnet50_s1", "moco_resnet50_rgb"),
    "tiny": ("tiny", "tiny_s1", "tiny_rgb"),
}


def _parts(variant: str) -> tuple[str, Network, str]:
    """Return the method, the network and the sensor of a variant."""
    method, _, rest = REDUCED.get(variant, variant).partition("_")
    network, _, sensor = rest.rpartition("_")
    return method, NETWORKS[network], sensor


def _settings(variant: str) -> ResNetArch | ViTArch:
    method, network, sensor = _parts(variant)
    arch = network.tiny if variant in REDUCED else network.arch
    channels = len(INPUTS[sensor][0].bands)
    if isinstance(arch, ResNetArch):
        return dataclasses.replace(arch, channels=channels)
    return dataclasses.replace(arch, channels=channels, last=4 if method == "dino" else 1)


VARIANTS = {variant: _settings(variant) for variant in (*PUBLISHED, *REDUCED)}


def _weights(variant: str) -> WeightsSource:
    file = PUBLISHED[variant]
    return WeightsSource(
        filename=file.name,
        obtain=(
            f"Download it from https://huggingface.co/{file.place.partition('/resolve/')[0]}. The "
            "authors' full checkpoints (Google Drive, linked in the README of "
            "github.com/zhu-xlab/SSL4EO-S12) work too (--weights PATH)."
        ),
        licence="CC-BY-4.0",
        url=f"https://hf.co/{file.place}/{file.name}",
        sha256=file.sha256,
        container="none; full checkpoints: state_dict (MoCo), teacher (DINO), model (MAE)",
        prefix=(
            "none; full checkpoints: module.encoder_q. (MoCo-v2), module.base_encoder. (MoCo-v3), "
            "module.backbone. or backbone. (DINO), none (MAE)"
        ),
        variants=(variant,),
    )


BYTES = "bytes of reflectance (x / 1e4 * 255, cut off at 255), then / 255"
SENSORS = {  # title, normalisation, and its own caveat
    "s2": (
        "Sentinel-2",
        BYTES,
        "trained on level 1C; how the authors scaled BigEarthNet's level 2A to bytes is not told",
    ),
    "s1": (
        "Sentinel-1",
        "mean -+ 2 deviations (VV -12.55, 5.257; VH -20.19, 5.912 dB) to bytes, then / 255",
        "torchgeo's transform takes the mean and one deviation instead: it is not used",
    ),
    "rgb": (
        "RGB of Sentinel-2",
        BYTES,
        "RGB of level 1C is mostly below 0.3; display images are therefore taken for EuroSAT's "
        "stretch of reflectance, a convention; how SkySense fed them is not known",
    ),
}
POOLING = {
    "resnet": "global average of the last map; linear_BE_moco.py, linear_BE_dino.py",
    "vit": "normed class token of the last block; linear_BE_mae.py, linear_BE_moco_v3.py",
    "dino vit": "normed class tokens of the last 4 blocks, side by side; linear_BE_dino.py",
}
COMMON = ModelCard(
    name="ssl4eo",
    title="SSL4EO-S12",
    group="paper",
    inputs=(),
    dim=0,
    levels=(),
    paper="Wang et al., SSL4EO-S12, IEEE GRSM 11(3), 2023, arXiv:2211.07044",
    code=(
        "github:zhu-xlab/SSL4EO-S12@2156913 src/benchmark/pretrain_ssl, "
        "src/benchmark/transfer_classification"
    ),
    licence="Apache-2.0",
    caveats=(
        "the authors resize every image to 256 pixels and cut out 224; here only the ViTs, whose "
        "positions are for 224, have smaller images enlarged to that",
        "their bytes wrap around above a reflectance of 1, here they are cut off; torchgeo's "
        "transforms have no bytes at all",
        "MoCo's and DINO's ResNet-50, and the three ViT-S, have the same keys and shapes where a "
        "file holds the encoder alone: name the variant",
    ),
    min_pixels=32,
    multiple=32,
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: ResNetArch | ViTArch) -> ModelCard:
    method, network, sensor = _parts(variant)
    is_resnet = isinstance(arch, ResNetArch)
    title, scale, caveat = SENSORS[sensor]
    how = METHODS[method] if method != "moco" else "MoCo-v2" if is_resnet else "MoCo-v3"
    pooling = "resnet" if is_resnet else "dino vit" if method == "dino" else "vit"
    published = REDUCED.get(variant, variant)
    base = dataclasses.replace(
        COMMON,
        title=f"SSL4EO-S12 ({how}, {network.title}, {title})",
        inputs=INPUTS[sensor],
        weights=_weights(published),
        pretraining=(
            f"{how} on {title} of SSL4EO-S12: 251,079 places all over the world, four seasons each."
        ),
        normalisation=f"{scale}; datasets/SSL4EO/ssl4eo_dataset.py",
        pooling=POOLING[pooling],
        params=PUBLISHED[published].params,
        equivalent_to=f"{network.equivalent_to} with {len(INPUTS[sensor][0].bands)} input channels",
        caveats=(*COMMON.caveats, caveat),
    )
    return resnet_card(base, arch) if isinstance(arch, ResNetArch) else vit_card(base, arch)


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.ssl4eo import ssl4eo_model

    chosen = variant_settings(VARIANTS, variant, arch)
    return ssl4eo_model(_card(variant, chosen), chosen, _parts(variant)[0])


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of a full training checkpoint, or of an encoder (bare keys), to ours."""
    prefixes = "encoder_q.", "base_encoder.", "backbone."
    # DeCUR's files have such a backbone too: their attention must not pass unseen.
    others = {k: tensor for k, tensor in state.items() if k.startswith(("da1_", "da2_"))}
    return vit_keys(state, *prefixes) | resnet_keys(state, *prefixes) | others


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant of a published file; "" if encoders of several methods look alike."""
    ours = convert(state)
    kernel = ours.get("net.conv1.weight", ours.get("net.patch_embed.proj.weight"))
    if kernel is None:
        return ""
    vits = {n.arch.dim: k for k, n in NETWORKS.items() if isinstance(n.arch, ViTArch)}
    network = identify_resnet(ours) or vits.get(kernel.shape[0], "")
    sensor = {len(i[0].bands): sensor for sensor, i in INPUTS.items()}.get(kernel.shape[1])
    marks = {"moco": "encoder", "dino": "backbone.", "mae": "decoder"}
    methods = [m for m, mark in marks.items() if any(mark in key for key in state)] or METHODS
    names = [f"{method}_{network}_{sensor}" for method in methods]
    alike = [name for name in names if name in PUBLISHED]
    return alike[0] if len(alike) == 1 else ""
