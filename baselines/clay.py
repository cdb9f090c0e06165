"""Clay v1.5: one network for any bands, with patch kernels generated from their wavelengths.

The variants are its uses here, for Sentinel-2 ("v15_s2"), Sentinel-1 ("v15_s1") and RGB images
("v15_rgb"): the same network, which reads one sensor at a time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, UINT8, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

INPUTS = {
    "s2": Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
    "s1": Sensor("s1", ("vv", "vh"), 10.0, DB),
    "rgb": Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),
}
TITLES = {"s2": "Sentinel-2", "s1": "Sentinel-1", "rgb": "RGB"}


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    sensor: str = "s2"  # of INPUTS
    patch: int = 8
    dim: int = 1024
    depth: int = 24
    heads: int = 16


VARIANTS = {f"v15_{sensor}": Arch(sensor) for sensor in INPUTS} | {
    "tiny": Arch(dim=32, depth=2, heads=2),
    "tiny_s1": Arch("s1", dim=32, depth=2, heads=2),
    "tiny_rgb": Arch("rgb", dim=32, depth=2, heads=2),
}
PICK = {
    "full": ("v15_s2", "v15_s1", "v15_rgb"),
    "tiny": ("tiny", "tiny_s1", "tiny_rgb"),
}

COMMON = ModelCard(
    name="clay",
    title="Clay v1.5",
    group="extra",
    inputs=(INPUTS["s2"],),
    dim=0,
    levels=(),
    paper="Clay foundation, Clay v1.5, 2024, https://clay-foundation.github.io/model (no paper)",
    code=(
        "github:Clay-foundation/model@a5790ce claymodel/model.py, backbone.py, factory.py, "
        "utils.py; statistics: @64313d9 claymodel/configs/metadata.yaml"
    ),
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="clay-v1.5.ckpt",
        obtain=(
            "Download v1.5/clay-v1.5.ckpt from https://huggingface.co/made-with-clay/Clay "
            "(the encoder alone is 1.25 GB, the file holds more)."
        ),
        licence="Apache-2.0",
        url="https://huggingface.co/made-with-clay/Clay/resolve/main/v1.5/clay-v1.5.ckpt",
        container="state_dict",
        prefix="model.encoder.",
        variants=tuple(f"v15_{sensor}" for sensor in INPUTS),
    ),
    pretraining=(
        "Masked autoencoding, with DINOv2 as a teacher, of 70 million images of 256 x 256 pixels: "
        "Sentinel-2, Sentinel-1, Landsat, NAIP, LINZ and MODIS, all over the world."
    ),
    pooling="the class token, as the authors' classifier reads (claymodel/finetune/classify)",
    params=311_442_944,
    caveats=(
        "Time and place are left out (zeros): the hour of an image is not known here, pre-training "
        "left both out in a fifth of the images (claymodel/datamodule.py), and the authors' "
        "EuroSAT example does so (claymodel/finetune/classify/eurosat_datamodule.py).",
        "The authors' code takes the grid of patches to be square; that an oblong one has codes "
        "of its own rows and columns is ours.",
        "The published statistics of Sentinel-1 were of linear values until those in dB replaced "
        "them; that v1.5 was trained on dB is as claymodel/datamodule.py reads it, not verified.",
    ),
    min_pixels=8,  # computed positions: nothing ties it to the 256 pixels of pre-training
)
SCALES = {
    "s2": "(x - mean) / std of its Sentinel-2 L2A",
    "s1": "(x - mean) / std of its Sentinel-1 RTC in dB",
    "rgb": "(x - mean) / std of its NAIP, whose 1 m a pixel and wavelengths are given for all RGB",
}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant_settings(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    return dataclasses.replace(
        COMMON,
        title=f"Clay v1.5 ({TITLES[arch.sensor]})",
        inputs=(INPUTS[arch.sensor],),
        normalisation=f"{SCALES[arch.sensor]} (claymodel/configs/metadata.yaml)",
        dim=arch.dim,
        levels=((arch.dim, arch.patch),),
        multiple=arch.patch,
    )


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.clay import ClayModel

    chosen = variant_settings(VARIANTS, variant, arch)
    check_width(chosen.dim, 4, chosen.heads)
    return ClayModel(_card(chosen), chosen.patch, chosen.dim, chosen.depth, chosen.heads)


ENCODER = "model.encoder."


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the whole autoencoder, or of the encoder alone, to ours."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    prefix = ENCODER if any(key.startswith(ENCODER) for key in bare) else ""
    found = {}
    for key, tensor in bare.items():
        part, _, rest = key.removeprefix(prefix).partition(".")
        if not key.startswith(prefix) or part not in (
            "cls_token",
            "patch_embedding",
            "transformer",
        ):
            continue
        own = rest if part == "transformer" else key.removeprefix(prefix)
        own = own.replace("generator.encoder.", "generator.transformer_encoder.")
        found[f"net.{own.replace('.1.net.', '.1.')}"] = tensor
    return found


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network by width and depth: its Sentinel-2 variant, or ""."""
    own = convert(state)
    bias = own.get("net.patch_embedding.weight_generator.fc_bias.bias")
    fits = bias is not None and len(bias) == 1024 and "net.layers.23.1.3.bias" in own
    return "v15_s2" if fits else ""
