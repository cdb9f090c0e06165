"""The adapter of the ImageNet floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard

from .._networks.precision import wide
from .resnet import FrozenNorms

NAME = "tf_efficientnet_lite0"
LEVELS = (1, 2, 4, 6)  # blocks that end a stage at strides 4, 8, 16, 32


def shapes() -> dict[str, tuple[int, ...]]:
    """Return timm's keys and shapes in order, classifier included."""
    with torch.device("meta"):
        return {k: tuple(t.shape) for k, t in timm.create_model(NAME).state_dict().items()}


class ImageNet(FrozenNorms):
    """[B, 1, 3, H, W] in 0..255 -> 1280 means and four maps.

    Batch norms stay in eval mode in training; see `FrozenNorms`.
    """

    net: Any  # timm has no types

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.net = timm.create_model(NAME, num_classes=0)

    def forward(self, batch: Batch) -> Features:
        # The published network's own scaling (lite models use mean 127 and std 128).
        return self.extract((batch.images["hr"][:, 0] - 127) / 128)

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, 3, H, W]."""
        x = self.net.bn1(self.net.conv_stem(images.contiguous(memory_format=torch.channels_last)))
        maps = []
        for i, block in enumerate(self.net.blocks):
            x = block(x)
            if i in LEVELS:
                maps.append(x)
        last = self.net.bn2(self.net.conv_head(x))
        return Features(wide(last).mean((2, 3)), tuple(maps))

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        blocks = (block for stage in net.blocks for block in stage)
        return (nn.ModuleList((net.conv_stem, net.bn1)), *blocks)
