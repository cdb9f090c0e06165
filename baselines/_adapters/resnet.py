"""The adapter of models whose backbone is a ResNet with torchvision's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from timm.models import resnet
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import ResNetArch
from .._networks.precision import wide

Normalise = Callable[[Tensor], Tensor]  # [B, C, H, W] in the input's unit -> the network's


def build_resnet(arch: ResNetArch) -> Any:
    """Build timm's ResNet with fresh weights; same parameter names and outputs as torchvision's."""
    block: Any = resnet.Bottleneck if arch.bottleneck else resnet.BasicBlock
    widths: Any = [arch.width << i for i in range(len(arch.blocks))]
    return resnet.ResNet(block, arch.blocks, 0, arch.channels, channels=widths)


def stem(net: Any, x: Tensor) -> Tensor:
    """Run the stem, [B, C, H, W] -> [B, 64, H / 4, W / 4]."""
    x = x.contiguous(memory_format=torch.channels_last)
    pooled: Tensor = net.maxpool(net.act1(net.bn1(net.conv1(x))))
    return pooled


def stages(net: Any) -> tuple[nn.Sequential, ...]:
    """The four stages."""
    return net.layer1, net.layer2, net.layer3, net.layer4


class FrozenNorms(Model):
    """A model whose batch norms stay in eval mode in training, since batches there are small."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class ResNet(FrozenNorms):
    """One image of one of the card's inputs -> the mean of the last map, and four maps.

    normalise: by input name. The card's inputs are alternatives: if a batch has several, the
    first of the card is read.
    """

    net: Any  # timm has no types

    def __init__(
        self, card: ModelCard, arch: ResNetArch, normalise: Mapping[str, Normalise]
    ) -> None:
        super().__init__(card)
        self.net = build_resnet(arch)
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
        return Features(wide(x).mean((2, 3)), tuple(maps))

    def layers(self) -> Sequence[nn.Module]:
        blocks = (block for stage in stages(self.net) for block in stage)
        return (nn.ModuleList((self.net.conv1, self.net.bn1)), *blocks)
