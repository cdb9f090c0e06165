"""SoftCon: networks for Sentinel-2 and Sentinel-1, by soft contrast of images with like land cover.

Published are ViT-B/14 and ViT-S/14, which go on from DINOv2's weights, and ResNet-50, each for
Sentinel-2 (level 1C, 13 bands) and for Sentinel-1. Where a dataset lacks B10, as all of level 2A,
its channel is 0.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L1C, L2A

from ._families import resnet as resnets
from ._families import vit as vits
from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": (Sensor("s2", L1C, 10.0, REFLECTANCE), Sensor("s2_l2a", L2A, 10.0, REFLECTANCE)),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
}
CHANNELS = {sensor: len(inputs[0].bands) for sensor, inputs in INPUTS.items()}


class Network(NamedTuple):
    """A kind of network that was published."""

    title: str
    arch: resnets.Arch | vits.Arch
    tiny: resnets.Arch | vits.Arch
    stem: str  # its name in the files
    equals: str  # the stock network


VIT_B = vits.Arch(patch=14)
VIT_S = vits.Arch(patch=14, dim=384, heads=6)
TINY = vits.Arch(image=56, patch=14, dim=32, depth=2, heads=2)
NETWORKS = {
    "vit_base": Network("ViT-B/14", VIT_B, TINY, "vitb14", "timm vit_base_patch14_dinov2"),
    "vit_small": Network("ViT-S/14", VIT_S, TINY, "vits14", "timm vit_small_patch14_dinov2"),
    "resnet50": Network(
        "ResNet-50", resnets.RESNET50, resnets.TINY, "rn50", "torchvision resnet50"
    ),
}
REDUCED = {"tiny": "vit_base_s2", "tiny_s1": "vit_base_s1", "tiny_resnet": "resnet50_s2"}


def _parts(variant: str) -> tuple[Network, str]:
    """Network and sensor of a variant."""
    network, _, sensor = REDUCED.get(variant, variant).rpartition("_")
    return NETWORKS[network], sensor


def _settings(variant: str) -> resnets.Arch | vits.Arch:
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
    encoder = "_enc" if isinstance(arch, vits.Arch) else ""
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
    row="extra",
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
    leads=(
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
    """The card of a variant; `arch` overrides its settings."""
    return _card(variant, choose(VARIANTS, variant, arch))


def _card(variant: str, arch: resnets.Arch | vits.Arch) -> ModelCard:
    published, (network, sensor) = REDUCED.get(variant, variant), _parts(variant)
    is_resnet = isinstance(arch, resnets.Arch)
    made = dataclasses.replace(
        COMMON,
        title=f"SoftCon ({network.title}, {'Sentinel-2' if sensor == 's2' else 'Sentinel-1'})",
        inputs=INPUTS[sensor],
        weights=_weights(published),
        pooling=POOLING["resnet" if is_resnet else "vit"],
        params=PARAMS[published],
        equals=f"{network.equals} with {arch.channels} input channels",
    )
    return resnets.fitted(made, arch) if isinstance(arch, resnets.Arch) else vits.fitted(made, arch)


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides its settings."""
    from ._adapters.softcon import adapter

    chosen = choose(VARIANTS, variant, arch)
    return adapter(_card(variant, chosen), chosen)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From a published encoder; its mask token is left out."""
    return vits.own_keys(state) | resnets.own_keys(state)


def variant_of(state: dict[str, Tensor]) -> str:
    """The published network and sensor that a file is of."""
    own = convert(state)
    kernel = own.get("net.conv1.weight", own.get("net.patch_embed.proj.weight"))
    network = resnets.network_of(own)
    if kernel is not None and "net.blocks.0.ls1.gamma" in own:
        network = {768: "vit_base", 384: "vit_small"}.get(kernel.shape[0], "")
    channels = 0 if kernel is None else kernel.shape[1]
    sensor = next((s for s, number in CHANNELS.items() if number == channels), "")
    variant = f"{network}_{sensor}"
    return variant if variant in PARAMS else ""
