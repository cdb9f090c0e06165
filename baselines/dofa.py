"""DOFA: one network for any bands, with patch kernels generated from their wavelengths.

ViT-B/16 and ViT-L/16 are published. "base_first" are the first weights of ViT-B/16, of March 2024,
which were trained with kernels that mix the bands by mistake and need that mistake. Each network
has variants for Sentinel-2 ("s2"), Sentinel-1 ("s1") and RGB images ("rgb"): the same network,
which reads one sensor at a time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, WeightsSource

from ._families.settings import variant_settings
from ._families.vit import SensorArch, image_setting, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

RGB = ("red", "green", "blue")
S2_BANDS = (*RGB, "rededge071", "rededge075", "rededge078", "nir", "swir16", "swir22")
INPUTS = {
    "s2": (Sensor("s2", S2_BANDS, 10.0, REFLECTANCE), Sensor("s2_rgb", RGB, 10.0, REFLECTANCE)),
    "s1": (Sensor("s1", ("vv", "vh"), 10.0, DB),),
    "rgb": (Sensor("hr", RGB, 0.0, UINT8),),
}


@dataclass(frozen=True)
class Arch(SensorArch):
    """Settings of the network."""

    swapped: bool = False  # as the first weights need it; see `_networks.dynamic`


TINY = Arch(image=32, dim=32, depth=2, heads=2)
SIZES = {
    "base": Arch(),
    "large": Arch(dim=1024, depth=24, heads=16),
    "base_first": Arch(swapped=True),
}
VARIANTS = {
    f"{size}_{sensor}": dataclasses.replace(arch, sensor=sensor)
    for size, arch in SIZES.items()
    for sensor in INPUTS
} | {
    "tiny": TINY,
    "tiny_s1": dataclasses.replace(TINY, sensor="s1"),
    "tiny_rgb": dataclasses.replace(TINY, sensor="rgb"),
}
PICK = {
    "full": ("base_s2", "base_s1", "base_rgb"),
    "tiny": ("tiny", "tiny_s1", "tiny_rgb"),
}

COPIES = {  # torchgeo's: revision, size and first digits of the sha256
    "base": ("b8db318b64a90b9e085ec04ba8851233c5893666", "base", "a0275954"),
    "large": ("b8db318b64a90b9e085ec04ba8851233c5893666", "large", "0ff904d3"),
    "base_first": ("ade8745c5ec6eddfe15d8c03421e8cb8f21e66ff", "base", "7cc0f413"),
}
PARAMS = {"base": 111_312_128, "large": 337_105_408, "base_first": 111_312_128}
TITLES = {"base": "ViT-B/16", "large": "ViT-L/16", "base_first": "ViT-B/16, first weights"}
SENSORS = {
    "s2": (
        "Sentinel-2",
        "to bytes as SatlasPretrain's (colours x / 3558, the others x / 8160, cut off at 1), "
        "then (x - mean) / std",
    ),
    "s1": (
        "Sentinel-1",
        "to bytes as SatlasPretrain's (474 · 10^(dB / 20), cut off at 255), then (x - mean) / std",
    ),
    "rgb": ("RGB", "(x - mean) / std of ImageNet, as the authors' NAIP"),
}
CAVEATS = {
    "s2": (
        "That the bytes are SatlasPretrain's is the authors' word (github.com/zhu-xlab/DOFA/issues/"
        "13); how reflectance becomes these bytes is as in `satlas`, see its card.",
    ),
    "s1": (
        "The statistics are marked vh, vv, but the first are the brighter ones, as VV is; they are "
        "taken for vv, vh. The bytes are as in `satlas`, see its card.",
        "Wavelengths are 3.75 for both, which the weights were trained with; the README has 5.405, "
        "which is of DOFA v2 (github.com/torchgeo/torchgeo/issues/3931).",
    ),
    "rgb": (),
}


def _weights(size: str) -> WeightsSource:
    revision, network, sha256 = COPIES[size]
    filename = f"dofa_{network}_patch16_224-{sha256}.pth"
    authors_file = ""
    if size != "base_first":  # the authors' file is gone
        authors_file = (
            f" The authors' DOFA_ViT_{network}_e100.pth (huggingface.co/earthflow/DOFA) works too."
        )
    return WeightsSource(
        filename=filename,
        obtain=f"Download {filename}, torchgeo's copy, from its URL.{authors_file}",
        licence="CC-BY-4.0 (the card of earthflow/DOFA)",
        url=f"https://hf.co/torchgeo/dofa/resolve/{revision}/{filename}",
        sha256=sha256,
        container="none",
        missing=("net.norm.*",),  # of pooled features: new in every use
        variants=tuple(f"{size}_{sensor}" for sensor in INPUTS),
    )


COMMON = ModelCard(
    name="dofa",
    title="DOFA",
    group="extra",
    inputs=INPUTS["s2"],
    dim=0,
    levels=(),
    paper="Xiong et al., DOFA, 2024, arXiv:2403.15356",
    code=(
        "github:zhu-xlab/DOFA@3c33a24 dofa_v1.py, README.md; of the kernels torchgeo 0.8.1 "
        "models/dofa.py, for the first weights wave_dynamic_layer.py@1550cbe"
    ),
    licence="MIT",
    pretraining=(
        "Masked autoencoding of Sentinel-1, Sentinel-2 and NAIP (SatlasPretrain), Gaofen "
        "(Five-Billion-Pixels) and EnMAP (HySpecNet-11k), 100 epochs."
    ),
    pooling="norm of the mean of the last block's tokens but the class token (dofa_v1.py)",
    caveats=(
        "Two generations of weights have the same keys and shapes, and the file does not tell "
        "which it is. The first (March 2024) mixed the kernels of the bands; the second (August "
        "2024) does not (github.com/torchgeo/torchgeo/pull/2256).",
        "The norm of `pooled` is in no published file; it begins with weight 1 and bias 0.",
        "DOFA v2 (ViT/14, dofav2_*.pth) is another network and is not here.",
    ),
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    size = "base" if variant.startswith("tiny") else variant.rpartition("_")[0]
    title, scale = SENSORS[arch.sensor]
    base = dataclasses.replace(
        COMMON,
        title=f"DOFA ({TITLES[size]}, {title})",
        inputs=INPUTS[arch.sensor],
        weights=_weights(size),
        normalisation=f"{scale} (pretraining/datasets/ofall_dataset.py)",
        params=PARAMS[size],
        equivalent_to="" if arch.swapped else f"torchgeo dofa_{size}_patch16_224, at its one size",
        caveats=(*COMMON.caveats, *CAVEATS[arch.sensor]),
    )
    return vit_card(base, arch.vit())


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.dofa import DOFA

    chosen = variant_settings(VARIANTS, variant, arch)
    return DOFA(_card(variant, chosen), chosen.vit(), chosen.swapped)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a published encoder's keys to ours, without its last norm and pre-training parts."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    ours = {k: t for k, t in vit_keys(bare).items() if not k.startswith("net.norm.")}
    pooled = {k.removeprefix("fc_"): t for k, t in bare.items() if k.startswith("fc_norm.")}
    return ours | {f"net.{key}": tensor for key, tensor in pooled.items()}


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `image` that the positional embedding in a file decides."""
    return image_setting(convert(state), 16)


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the size of a file: its Sentinel-2 variant of the second generation, or ""."""
    bias = convert(state).get("net.patch_embed.weight_generator.fc_bias.bias")
    dims = {arch.dim: size for size, arch in SIZES.items() if not arch.swapped}
    size = dims.get(0 if bias is None else len(bias), "")
    return f"{size}_s2" if size else ""
