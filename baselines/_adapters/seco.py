"""The adapter of SeCo and CACo."""

from __future__ import annotations

from skybench.core import ModelCard

from .._families.seco import NORMALISE, Arch
from .resnet import ResNet


def seco_model(card: ModelCard, arch: Arch) -> ResNet:
    """Build the ResNet with fresh weights, for images of `arch.sensor`."""
    return ResNet(card, arch, {arch.sensor: NORMALISE[arch.sensor]})
