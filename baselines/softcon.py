"""SoftCon: networks for Sentinel-2 and Sentinel-1, pre-trained by soft contrast on land cover.

ViT-B/14 and ViT-S/14, both continued from DINOv2's weights, and ResNet-50 are published, each for
Sentinel-2 (level 1C, 13 bands) and for Sentinel-1. If a dataset lacks B10, as level 2A does, its
channel is 0.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L1C, L2A

from ._families.resnet import (
    RESNET50,
    TINY_RESNET50,
    ResNetArch,
    identify_resnet,
    resnet_card,
    resnet_keys,
)
from ._families.settings import variant_settings
from ._families.vit import ViTArch, image_setting, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": (Sensor("s2", L1C, 10.0, REFLECTANCE), Sensor("s2_l2a", L2A, 10.0, REFLECTANCE)),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
}
CHANNELS = {sensor: len(inputs[0].bands) for sensor, inputs in INPUTS.items()}


class Network(NamedTuple):
    """A published architecture."""

    title: str
    arch: ResNetArch | ViTArch
    tiny: ResNetArch | ViTArch
    stem: str  # its name in the files
    equivalent_to: str  # the stock network


VIT_B = ViTArch(patch=14)
VIT_S = ViTArch(patch=14, dim=384, heads=6)
TINY = ViTArch(image=56, patch=14, dim=32, depth=2, heads=2)
NETWORKS = {
    "vit_base": Network("ViT-B/14", VIT_B, TINY, "vitb14", "timm vit_base_patch14_dinov2"),
    "vit_small": Network("ViT-S/14", VIT_S, TINY, "vits14", "timm vit_small_patch14_dinov2"),
    "resnet50": Network("ResNet-50", RESNET50, TINY_RESNET50, "rn50", "torchvision resnet50"),
}
REDUCED = {"tiny": "vit_base_s2", "tiny_s1": "vit_base_s1", "tiny_resnet": "resnet50_s2"}


def _parts(variant: str) -> tuple[Network, str]:
    """Return the network and the sensor of a variant."""
    network, _, sensor = REDUCED.get(variant, variant).rpartition("_")
    return NETWORKS[network], sensor


def _settings(variant: str) -> ResNetArch | ViTArch:
    network, sensor = _parts(variant)
    arch = network.tiny if variant in REDUCED else network.arch
    return dataclasses.replace(arch, channels=CHANNELS[sensor])


VARIANTS = {
    variant: _settings(variant)
    for variant in (*(f"{n}_{s}" for n in NETWORKS for s in CHANNELS), *REDUCED)
}
PICK = {"full": ("vit_base_s2", "vit_base_s1"), "tiny": ("tiny", "tiny_s1")}

PARAMS = {
    "vit_base_s2": 87_230_208,
    "vit_base_s1": 85_574_400,
    "vit_small_s2": 22_381_440,
    "vit_small_s1": 21_553_536,
    "resnet50_s2": 23_539_392,
    "resnet50_s1": 23_504_896,
}
REVISIONS = {  # of the files that torchgeo names
    "rn50": "62ff465b2e7467dbfc70758ec1e9d08ab87fc46b",
    "vits14": "bae909781911f8ec034b4b959992fae17b973c0c",
    "vitb14": "bae909781911f8ec034b4b959992fae17b973c0c",
}
POOLING = {
    "vit": "the normed class token (what the network returns; demo_encoding.ipynb)",
    "resnet": "global average of the last map (demo_encoding.ipynb)",
}


def _weights(variant: str) -> WeightsSource:
    (_, arch, _, stem, _), sensor = _parts(variant)
    encoder = "_enc" if isinstance(arch, ViTArch) else ""
    filename = f"B{CHANNELS[sensor]}_{stem}_softcon{encoder}.pth"
    page = "https://huggingface.co/wangyi111/softcon"
    return WeightsSource(
        filename=filename,
        obtain=f"Download {filename} from {page}.",
        licence="not stated beside the files; the repository of the code is Apache-2.0",
        url=f"{page}/resolve/{REVISIONS[stem]}/{filename}",
        container="none",
        variants=(variant,),
    )


COMMON = ModelCard(
    name="softcon",
    title="SoftCon",
    group="extra",
    inputs=INPUTS["s2"],
    dim=0,
    levels=(),
    paper="Wang et al., SoftCon, IEEE TGRS 62, 2024, arXiv:2405.20462",
    code="github:zhu-xlab/softcon@b687e46 README.md, models/dinov2/vision_transformer.py",
    licence="Apache-2.0",
    pretraining=(
        "Contrast weighted by the land-cover classes (Dynamic World) that two images share, on the "
        "780,371 Sentinel-2 images of SSL4EO-S12-ML and their Sentinel-1; the ViTs begin with "
        "DINOv2's weights, the ResNets with DINO's."
    ),
    normalisation=(
        "each channel from mean - 2 std to mean + 2 std of SSL4EO-S12 to bytes, rounded down, then "
        "/ 255 (README.md, data normalization); B10, where it lacks: 0"
    ),
    caveats=(
        "The README recommends the statistics of SSL4EO-S12 or of the dataset at hand; here they "
        "are always the former, in level 1C, as the authors' other repositories have them.",
        "Of Sentinel-1 the authors also cut off the lowest and highest 1 % of each image "
        "(Copernicus-Bench); that depends on the image's size and is not done here.",
        "Their linear probes of ViT-B/14 read four blocks (README.md); `pooled` is of the last.",
        "That DINOv2's code reads positions at other sizes with an offset of 0.1 is kept here.",
    ),
    min_pixels=32,
    multiple=32,
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: ResNetArch | ViTArch) -> ModelCard:
    published, (network, sensor) = REDUCED.get(variant, variant), _parts(variant)
    is_resnet = isinstance(arch, ResNetArch)
    base = dataclasses.replace(
        COMMON,
        title=f"SoftCon ({network.title}, {'Sentinel-2' if sensor == 's2' else 'Sentinel-1'})",
        inputs=INPUTS[sensor],
        weights=_weights(published),
        pooling=POOLING["resnet" if is_resnet else "vit"],
        params=PARAMS[published],
        equivalent_to=f"{network.equivalent_to} with {arch.channels} input channels",
    )
    return resnet_card(base, arch) if isinstance(arch, ResNetArch) else vit_card(base, arch)


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.softcon import softcon_model

    chosen = variant_settings(VARIANTS, variant, arch)
    return softcon_model(_card(variant, chosen), chosen)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a published encoder's keys to ours; its mask token is dropped."""
    return vit_keys(state) | resnet_keys(state)


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network and its sensor; "" if none fits."""
    ours = convert(state)
    kernel = ours.get("net.conv1.weight", ours.get("net.patch_embed.proj.weight"))
    network = identify_resnet(ours)
    if kernel is not None and "net.blocks.0.ls1.gamma" in ours:
        network = {768: "vit_base", 384: "vit_small"}.get(kernel.shape[0], "")
    channels = 0 if kernel is None else kernel.shape[1]
    sensor = next((s for s, number in CHANNELS.items() if number == channels), "")
    variant = f"{network}_{sensor}"
    return variant if variant in PARAMS else ""
