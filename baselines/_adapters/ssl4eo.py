"""The adapters of SSL4EO-S12: how images are scaled, and which network reads them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import UNIT, ResNetArch, StretchToBytes, two_sigma_stretch
from .._families.vit import ViTArch
from .resnet import ResNet
from .vit import Normalise, ViT, bicubic_positions, dino_positions

CIRRUS = 10  # its place among the 13 bands

reflectance = StretchToBytes((0.0,), (10_000.0,), UNIT)


def without_cirrus(x: Tensor) -> Tensor:
    """Level 2A's 12 bands, [B, 12, H, W] -> 13 bands with zeros for B10, [B, 13, H, W]."""
    bands = reflectance(x)
    return torch.cat((bands[:, :CIRRUS], torch.zeros_like(bands[:, :1]), bands[:, CIRRUS:]), 1)


NORMALISE: Mapping[str, Normalise] = {
    "s2": reflectance,
    "s2_l2a": without_cirrus,
    "s2_rgb": reflectance,
    # VV, VH in dB: github:zhu-xlab/SSL4EO-S12@1dc0c83 src/benchmark/pretrain_ssl/datasets/SSL4EO/
    # ssl4eo_dataset.py, S1_MEAN and S1_STD.
    "s1": two_sigma_stretch((-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
}


def ssl4eo_model(card: ModelCard, arch: ResNetArch | ViTArch, method: str) -> Model:
    """Build the network of a variant; DINO's ViT interpolates positional embeddings its own way."""
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, NORMALISE)
    return ViT(
        card, arch, NORMALISE, positions=dino_positions if method == "dino" else bicubic_positions
    )
