"""The adapters of SoftCon."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import Arch as ResNetArch
from .._families.vit import Arch as ViTArch
from .decur import NORMALISE  # the same for both: that of SSL4EO-S12
from .resnet import ResNet
from .vit import ViT, dino


class LayerScale(nn.Module):
    """A learned factor for each channel; it begins with DINOv2's 1e-5."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def scale_layers(net: Any) -> None:
    """Gives every block of timm's ViT the layer scales that DINOv2's has."""
    for block in net.blocks:
        block.ls1, block.ls2 = LayerScale(net.embed_dim), LayerScale(net.embed_dim)


def adapter(card: ModelCard, arch: ResNetArch | ViTArch) -> Model:
    """The network of a variant."""
    normalise = NORMALISE["s2" if arch.channels > 2 else "s1"]
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, normalise)
    model = ViT(card, arch, normalise, positions=dino)
    scale_layers(model.net)
    return model
