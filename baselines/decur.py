"""DeCUR: networks for Sentinel-1 and Sentinel-2 with common and unique embedding dimensions.

Three architectures are published, each for one sensor and for both in one file: ResNet-50,
ResNet-50 with residual deformable attention ("rda"), and ViT-S/16. A joint variant reads either
sensor or both; for both, `pooled` and the maps of Sentinel-1 and Sentinel-2 are concatenated, as
in the authors' late fusion. If a dataset lacks B10, as level 2A does, its channel is 0.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from ._families.vit import TINY_VIT, VIT_S, ViTArch, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": (
        Sensor("s2", L1C, 10.0, REFLECTANCE),
        Sensor("s2_l2a", L2A, 10.0, REFLECTANCE),
    ),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
}
CHANNELS = {13: "s2", 2: "s1"}


@dataclass(frozen=True)
class Arch:
    """Settings: the sensors, and the network that each of them has."""

    sensors: tuple[str, ...] = ("s2",)  # Sentinel-1 first: the order of the features
    net: ResNetArch | ViTArch = RESNET50
    attention: bool = False  # after the last two stages of a ResNet


NETWORKS = {
    "resnet50": Arch(),
    "resnet50_rda": Arch(attention=True),
    "vit_small": Arch(net=VIT_S),
}
SENSORS = {"s2": ("s2",), "s1": ("s1",), "joint": ("s1", "s2")}
VARIANTS = {
    f"{network}_{which}": dataclasses.replace(arch, sensors=sensors)
    for network, arch in NETWORKS.items()
    for which, sensors in SENSORS.items()
} | {
    "tiny": Arch(net=TINY_RESNET50),
    "tiny_s1": Arch(("s1",), TINY_RESNET50),
    "tiny_joint": Arch(("s1", "s2"), TINY_RESNET50),
    "tiny_rda": Arch(("s1", "s2"), TINY_RESNET50, attention=True),
    "tiny_vit": Arch(("s1", "s2"), TINY_VIT),
}
PICK = {"full": ("resnet50_s2", "resnet50_s1"), "tiny": ("tiny", "tiny_s1")}

TITLES = {"resnet50": "ResNet-50", "resnet50_rda": "ResNet-50 with RDA", "vit_small": "ViT-S/16"}
STEMS = {"resnet50": "rn50", "resnet50_rda": "rn50_rda", "vit_small": "vits16"}
SHORT = {"s2": "ms", "s1": "sar", "joint": "joint"}
EQUIVALENT_TO = {"resnet50": "torchvision resnet50", "vit_small": "timm vit_small_patch16_224"}
PARAMS = {
    "resnet50": {"s2": 23_539_392, "s1": 23_504_896},
    "resnet50_rda": {"s2": 44_543_000, "s1": 44_508_504},
    "vit_small": {"s2": 22_648_704, "s1": 21_567_360},
}
# torchgeo's copies: revision, first digits of the sha256.
COPIES = {
    "resnet50_s2": ("eba7ae5945d482a4319be046d34b552db5dd9950", "fc6b09ff"),
    "resnet50_s1": ("9328eeb90c686a88b30f8526ed757b4bc0f12027", "f0e69ba2"),
}
POOLING = {
    "resnet50": "global average of the last map (linear_BE_resnet.py)",
    "resnet50_rda": "global average of the last map after attention (linear_BE_resnet.py)",
    "vit_small": "the normed class token (linear_BE_vit.py)",
}


# The attention of the other sensor's network, in the joint files.
OTHER_SENSOR = {"s1": ("*da2_*",), "s2": ("*da1_*",)}


def _weights(network: str, which: str) -> WeightsSource:
    name = f"{STEMS[network]}_ssl4eo-s12_{SHORT[which]}_decur_ep100"
    repository, revision, suffix, sha256 = "wangyi111/DeCUR", "main", "", ""
    variant = f"{network}_{which}"
    if variant in COPIES:
        revision, sha256 = COPIES[variant]
        repository, suffix = "torchgeo/decur", f"-{sha256}"
    return WeightsSource(
        filename=f"{name}{suffix}.pth",
        obtain=f"Download {name}{suffix}.pth from https://huggingface.co/{repository}.",
        licence="CC-BY-4.0 (the card of wangyi111/DeCUR)",
        url=f"https://huggingface.co/{repository}/resolve/{revision}/{name}{suffix}.pth",
        sha256=sha256,
        container="none; files of the authors' training: model",
        prefix=(
            "joint files: module.backbone_1. (s1), module.backbone_2. (s2); one sensor's: none, or "
            "backbone. where there is attention; attention: da1_ (s1), da2_ (s2)"
        ),
        variants=(variant,),
        unused=OTHER_SENSOR.get(which, ()),
    )


COMMON = ModelCard(
    name="decur",
    title="DeCUR",
    group="extra",
    inputs=INPUTS["s2"],
    dim=0,
    levels=(),
    paper="Wang et al., DeCUR, ECCV 2024, arXiv:2309.05300",
    code=(
        "github:zhu-xlab/DeCUR@f190e9a src/pretrain/models/decur.py, "
        "src/transfer_classification_BE/linear_BE_resnet.py, linear_BE_vit.py, models/dat/"
        "dat_blocks.py"
    ),
    licence="Apache-2.0",
    pretraining=(
        "Barlow Twins within and between Sentinel-1 and Sentinel-2 (level 1C) of the 251,079 "
        "places of SSL4EO-S12, with common and unique dimensions of the embedding; 100 epochs."
    ),
    normalisation=(
        "each channel from mean - 2 std to mean + 2 std of SSL4EO-S12 to bytes, rounded down, then "
        "/ 255 (src/pretrain/datasets/SSL4EO/ssl4eo_dataset.py: normalize); B10, where it lacks: 0"
    ),
    caveats=(
        "torchgeo's transforms (x / 1e4; z-scores of Sentinel-1) are not the authors'",
        "on BigEarthNet (level 2A) the authors stretch by that dataset's own statistics and set "
        "B10 to 0; here the statistics are always those of pre-training",
        "the layout of the files is that of the authors' converter and loaders; no file was seen",
    ),
    min_pixels=32,
    multiple=32,
)
RDA_CAVEATS = (
    "the public pre-training code sends Sentinel-2 through da1, Sentinel-1's attention, so that "
    "da2 would never learn (decur.py, forward); the authors' transfer uses da2, so does this",
    "relative positions are in units of the image: at other sizes than 224 pixels they stretch",
    "the files say 100 epochs, but the converter takes checkpoint 49 (convert_backbone.py)",
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant_settings(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    if isinstance(arch.net, ViTArch):
        network, base = "vit_small", vit_card(COMMON, arch.net)
    else:
        network = "resnet50_rda" if arch.attention else "resnet50"
        base = resnet_card(COMMON, arch.net)
    which = "joint" if len(arch.sensors) > 1 else arch.sensors[0]
    count = len(arch.sensors)
    return dataclasses.replace(
        base,
        title=f"DeCUR ({TITLES[network]})",
        inputs=tuple(s for sensor in INPUTS if sensor in arch.sensors for s in INPUTS[sensor]),
        dim=count * base.dim,
        levels=tuple((count * channels, stride) for channels, stride in base.levels),
        weights=_weights(network, which),
        pooling=POOLING[network] + (", of both sensors stacked" if count > 1 else ""),
        params=sum(PARAMS[network][sensor] for sensor in arch.sensors),
        equivalent_to=EQUIVALENT_TO.get(network, ""),
        caveats=COMMON.caveats + (RDA_CAVEATS if arch.attention else ()),
        # Attention needs two points along each side of the last map, of stride 32.
        min_pixels=64 if arch.attention else base.min_pixels,
    )


CARD = card("resnet50_s2")


def build(variant: str, **arch: Any) -> Model:
    """Build the networks with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.decur import DeCUR

    chosen = variant_settings(VARIANTS, variant, arch)
    return DeCUR(_card(chosen), chosen.sensors, chosen.net, chosen.attention)


RENAMED = (
    (r"^da[12]_l(\d)\.", r"attention.layer\1."),
    (r"\.conv_offset\.1\.norm\.", ".offset.1."),
    (r"\.conv_offset\.", ".offset."),
    (r"\.proj_q\.", ".query."),
    (r"\.proj_k\.", ".key."),
    (r"\.proj_v\.", ".value."),
    (r"\.proj_out\.", ".out."),
    (r"\.rpe_table$", ".table"),
)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of a joint file or of one sensor's to ours; projectors are dropped.

    One sensor's file has bare keys, or with attention "backbone." and "da1_" or "da2_"; the number
    of input channels tells the sensor.
    """
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    prefixes = {"s1": "backbone_1.", "s2": "backbone_2."}
    if not any(key.startswith(tuple(prefixes.values())) for key in bare):
        prefix = "backbone." if "backbone.conv1.weight" in bare else ""
        kernels = (bare.get(f"{prefix}{k}.weight") for k in ("conv1", "patch_embed.proj"))
        channels = next((k.shape[1] for k in kernels if k is not None), 0)
        prefixes = {CHANNELS[channels]: prefix} if channels in CHANNELS else {}
    return {
        f"nets.{sensor}.{key}": tensor
        for sensor, prefix in prefixes.items()
        for key, tensor in _one(bare, sensor, prefix).items()
    }


def _one(bare: Mapping[str, Tensor], sensor: str, prefix: str) -> dict[str, Tensor]:
    """Map the keys of one sensor's network to ours."""
    ours = {k.removeprefix(prefix): t for k, t in bare.items() if k.startswith(prefix)}
    mapped = vit_keys(ours) if "cls_token" in ours else resnet_keys(ours)
    for key, tensor in bare.items():
        if key.startswith(f"da{sensor[1]}_"):
            for published, renamed in RENAMED:
                key = re.sub(published, renamed, key)
            mapped[key] = tensor
    return mapped


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network and its sensors; "" if none fits."""
    ours = convert(state)
    sensors = tuple(s for s in SENSORS["joint"] if any(k.startswith(f"nets.{s}.") for k in ours))
    which = next((name for name, both in SENSORS.items() if both == sensors), "")
    base = {k.removeprefix(f"nets.{sensors[0]}."): t for k, t in ours.items()} if sensors else {}
    network = identify_resnet(base)
    if "net.cls_token" in base and base["net.cls_token"].shape[-1] == VIT_S.dim:
        network = "vit_small"
    elif any(k.startswith("attention.") for k in base):
        network += "_rda"
    variant = f"{network}_{which}"
    return variant if variant in VARIANTS else ""
