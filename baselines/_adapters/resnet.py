"""ResNets: the adapter of models whose backbone is torchvision's ResNet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from timm.models import resnet
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import Arch

Normalise = Callable[[Tensor], Tensor]  # [B, C, H, W] in the input's unit -> the network's


def network(arch: Arch) -> Any:
    """The backbone, with fresh weights; timm's, with torchvision's names and numbers."""
    block: Any = resnet.Bottleneck if arch.bottleneck else resnet.BasicBlock
    widths: Any = [arch.width << i for i in range(len(arch.blocks))]
    return resnet.ResNet(block, arch.blocks, 0, arch.channels, channels=widths)


def stem(net: Any, x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 64, H / 4, W / 4]."""
    x = x.contiguous(memory_format=torch.channels_last)
    pooled: Tensor = net.maxpool(net.act1(net.bn1(net.conv1(x))))
    return pooled


def stages(net: Any) -> tuple[nn.Sequential, ...]:
    """The four stages."""
    return net.layer1, net.layer2, net.layer3, net.layer4


class StillNorms(Model):
    """A model whose batch norms keep their statistics in training too: batches there are small."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class ResNet(StillNorms):
    """One image, in any one of the card's inputs -> the mean of the last map, and four maps.

    normalise: for each input of the card; these are alternatives, and of several in a batch the
    card's first is read.
    """

    net: Any  # timm has no types

    def __init__(self, card: ModelCard, arch: Arch, normalise: Mapping[str, Normalise]) -> None:
        super().__init__(card)
        self.net = network(arch)
        self.normalise = dict(normalise)

    def forward(self, batch: Batch) -> Features:
        name = next(s.name for s in self.card.inputs if s.name in batch.images)
        return self.extract(self.normalise[name](batch.images[name][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, C, H, W]."""
        x = stem(self.net, images)
        maps = []
        for stage in stages(self.net):
            x = stage(x)
            maps.append(x)
        return Features(x.mean((2, 3)), tuple(maps))

    def layers(self) -> Sequence[nn.Module]:
        blocks = (block for stage in stages(self.net) for block in stage)
        return (nn.ModuleList((self.net.conv1, self.net.bn1)), *blocks)
