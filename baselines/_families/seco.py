"""What SeCo and CACo share, without torch: networks, inputs, and how Sentinel-2 becomes bytes.

A network has one input of three channels; two kinds of images are alternatives for it, each with
variants of its own. Reflectance ("s2") is stretched to bytes as in pre-training; bytes ("hr") are
taken for already stretched ones, as the authors' own transfer to EuroSAT does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from skybench.core import REFLECTANCE, UINT8, ModelCard, Sensor, WeightsSource

from . import resnet as resnets
from .resnet import IMAGENET, StretchToBytes
from .settings import variant_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

RGB = ("red", "green", "blue")
INPUTS = {"s2": Sensor("s2", RGB, 10.0, REFLECTANCE), "hr": Sensor("hr", RGB, 0.0, UINT8)}
# Source: github:ServiceNow/seasonal-contrast@411e37e datasets/seco_downloader.py (get_patch: bytes
# of reflectance) and seco_dataset.py (QUANTILES, normalize); github:utkarshmall13/CACo@719a825
# src/datasets/seco_dataset.py has the same quantiles.
STRETCH = StretchToBytes(
    (0.0,), (10_000.0,), StretchToBytes((0.0, 2.0, 3.0), (129.0, 103.0, 88.0), IMAGENET)
)
NORMALISE: Mapping[str, Callable[[Tensor], Tensor]] = {"s2": STRETCH, "hr": IMAGENET}
NORMALISATION = (
    "s2: bytes of reflectance (x / 1e4 * 255), stretched per band from 0..129 (B4), 2..103 (B3), "
    "3..88 (B2) to bytes, then ImageNet's mean and deviation of x / 255: as in pre-training "
    "(seco_dataset.py); hr: ImageNet's alone"
)


@dataclass(frozen=True)
class Arch(resnets.ResNetArch):
    """Settings of a ResNet and of the input that it reads."""

    sensor: Literal["s2", "hr"] = "s2"


RESNET50, RESNET18, TINY, TINY_RESNET18 = (
    Arch(**dataclasses.asdict(net))
    for net in (resnets.RESNET50, resnets.RESNET18, resnets.TINY_RESNET50, resnets.TINY_RESNET18)
)
VARIANTS = {
    "resnet50": RESNET50,
    "resnet50_hr": dataclasses.replace(RESNET50, sensor="hr"),
    "resnet18": RESNET18,
    "resnet18_hr": dataclasses.replace(RESNET18, sensor="hr"),
    "tiny": TINY,
    "tiny_hr": dataclasses.replace(TINY, sensor="hr"),
    "tiny_resnet18": TINY_RESNET18,
}
PICK = {"full": ("resnet50", "resnet50_hr"), "tiny": ("tiny", "tiny_hr")}


def file_variants(network: str) -> tuple[str, ...]:
    """Return the variants that one published file fits."""
    return network, f"{network}_hr"


def resnet18_card(card: ModelCard, title: str, weights: WeightsSource) -> ModelCard:
    """Derive the card of the ResNet-18 from that of the ResNet-50."""
    return dataclasses.replace(
        card, title=title, weights=weights, params=11_176_512, equivalent_to="torchvision resnet18"
    )


def seco_card(
    cards: tuple[ModelCard, ModelCard], variant: str, arch: Mapping[str, Any]
) -> ModelCard:
    """Return the card of a variant; cards: of the ResNet-50 and of the ResNet-18."""
    chosen = variant_settings(VARIANTS, variant, arch)
    facts = dataclasses.replace(cards[not chosen.bottleneck], inputs=(INPUTS[chosen.sensor],))
    return resnets.resnet_card(facts, chosen)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our keys from a published encoder or a whole training checkpoint.

    A checkpoint holds both encoders, the heads and the queue; only `encoder_q` is read. Its
    encoder is a Sequential with indices for names; torchgeo's copies have torchvision's names.
    """
    return resnets.resnet_keys(state, "encoder_q.")


def variant_of(state: dict[str, Tensor]) -> str:
    """Name the network of a published file: resnet18, resnet50, or "" for another."""
    return resnets.identify_resnet(convert(state))
