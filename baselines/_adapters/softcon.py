"""The adapters of SoftCon."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import ResNetArch
from .._families.vit import ViTArch
from .decur import NORMALISE  # the same for both: that of SSL4EO-S12
from .resnet import ResNet
from .vit import ViT, dino_positions


class LayerScale(nn.Module):
    """A learned factor per channel, initialised to DINOv2's 1e-5."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def add_layer_scale(net: Any) -> None:
    """Add DINOv2's layer scale to every block of timm's ViT."""
    for block in net.blocks:
        block.ls1, block.ls2 = LayerScale(net.embed_dim), LayerScale(net.embed_dim)


def softcon_model(card: ModelCard, arch: ResNetArch | ViTArch) -> Model:
    """Build the network of a variant with fresh weights."""
    normalise = NORMALISE["s2" if arch.channels > 2 else "s1"]
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, normalise)
    model = ViT(card, arch, normalise, positions=dino_positions)
    add_layer_scale(model.net)
    return model
