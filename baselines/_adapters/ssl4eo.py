"""The adapters of SSL4EO-S12: how images are scaled, and which network reads them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import UNIT, EightBits, stretched
from .._families.resnet import Arch as ResNetArch
from .._families.vit import Arch as ViTArch
from .resnet import ResNet
from .vit import Normalise, ViT, bicubic, dino

CIRRUS = 10  # its place among the 13 bands

reflectance = EightBits((0.0,), (10_000.0,), UNIT)


def without_cirrus(x: Tensor) -> Tensor:
    """[B, 12, H, W], bands of level 2A -> [B, 13, H, W], the tenth of them zeros."""
    bands = reflectance(x)
    return torch.cat((bands[:, :CIRRUS], torch.zeros_like(bands[:, :1]), bands[:, CIRRUS:]), 1)


NORMALISE: Mapping[str, Normalise] = {
    "s2": reflectance,
    "s2_l2a": without_cirrus,
    "s2_rgb": reflectance,
    # VV, VH in dB: github:zhu-xlab/SSL4EO-S12@1dc0c83 src/benchmark/pretrain_ssl/datasets/SSL4EO/
    # ssl4eo_dataset.py, S1_MEAN and S1_STD.
    "s1": stretched((-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
}


def adapter(card: ModelCard, arch: ResNetArch | ViTArch, method: str) -> Model:
    """The model of a variant; DINO's ViT has a way of its own to other sizes."""
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, NORMALISE)
    return ViT(card, arch, NORMALISE, positions=dino if method == "dino" else bicubic)
