"""What SeCo and CACo share: networks, inputs, and how Sentinel-2 becomes bytes.

A network has one input of three channels; two kinds of images are alternatives for it, each with
variants of its own. Reflectance ("s2") is stretched to bytes as in pre-training; bytes ("hr") are
taken for already stretched ones, as the authors' own transfer to EuroSAT does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from skybench.core import REFLECTANCE, UINT8, ModelCard, Sensor, WeightsSource

from .._families import resnet as resnets
from .._families.resnet import IMAGENET, EightBits
from .._families.settings import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from skybench.core.model import Model

RGB = ("red", "green", "blue")
INPUTS = {"s2": Sensor("s2", RGB, 10.0, REFLECTANCE), "hr": Sensor("hr", RGB, 0.0, UINT8)}
# Source: github:ServiceNow/seasonal-contrast@411e37e datasets/seco_downloader.py (get_patch: bytes
# of reflectance) and seco_dataset.py (QUANTILES, normalize); github:utkarshmall13/CACo@719a825
# src/datasets/seco_dataset.py has the same quantiles.
STRETCH = EightBits((0.0,), (10_000.0,), EightBits((0.0, 2.0, 3.0), (129.0, 103.0, 88.0), IMAGENET))
NORMALISE: Mapping[str, Callable[[Tensor], Tensor]] = {"s2": STRETCH, "hr": IMAGENET}
NORMALISATION = (
    "s2: bytes of reflectance (x / 1e4 * 255), stretched per band from 0..129 (B4), 2..103 (B3), "
    "3..88 (B2) to bytes, then ImageNet's mean and deviation of x / 255: as in pre-training "
    "(seco_dataset.py); hr: ImageNet's alone"
)


@dataclass(frozen=True)
class Arch(resnets.Arch):
    """Settings of a ResNet, and the kind of images that it reads."""

    sensor: Literal["s2", "hr"] = "s2"


RESNET50, RESNET18, TINY, TINY_RESNET18 = (
    Arch(**dataclasses.asdict(net))
    for net in (resnets.RESNET50, resnets.RESNET18, resnets.TINY, resnets.TINY_RESNET18)
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


def fits(network: str) -> tuple[str, ...]:
    """The variants that one published file fits."""
    return network, f"{network}_hr"


def resnet18(card: ModelCard, title: str, weights: WeightsSource) -> ModelCard:
    """The facts of the smaller network, from those of the ResNet-50."""
    return dataclasses.replace(
        card, title=title, weights=weights, params=11_176_512, equals="torchvision resnet18"
    )


def card(cards: tuple[ModelCard, ModelCard], variant: str, arch: Mapping[str, Any]) -> ModelCard:
    """The card of a variant, of the facts of ResNet-50 and -18, with the input that it has."""
    chosen = choose(VARIANTS, variant, arch)
    facts = dataclasses.replace(cards[not chosen.bottleneck], inputs=(INPUTS[chosen.sensor],))
    return resnets.fitted(facts, chosen)


def build(cards: tuple[ModelCard, ModelCard], variant: str, arch: Mapping[str, Any]) -> Model:
    """The network with fresh weights; cards: as in `card`."""
    from .resnet import ResNet

    chosen = choose(VARIANTS, variant, arch)
    facts = card(cards, variant, arch)
    return ResNet(facts, chosen, {chosen.sensor: NORMALISE[chosen.sensor]})
