"""The adapter of SkySense's high-resolution branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.model import Model
from skybench.nets.swin_v2 import SwinV2

# ImageNet's statistics on 0..255, as in the official configurations. For the near infrared none
# are published; its input plane starts as a copy of red's, so it is normalised as red.
MEAN = (123.675, 116.28, 103.53, 123.675)
STD = (58.395, 57.12, 57.375, 58.395)
FIRST = "net.patch_embed.projection.weight"


class SkySense(Model):
    """[B, 1, 3, H, W] (or 4 bands) in 0..255 -> the last stage's mean, and the four stages."""

    mean: Tensor
    std: Tensor

    def __init__(self, card: ModelCard, arch: Mapping[str, Any]) -> None:
        super().__init__(card)
        self.net = SwinV2(**arch)
        bands = len(card.inputs[0].bands)
        for name, numbers in (("mean", MEAN), ("std", STD)):
            plane = torch.tensor(numbers[:bands])[:, None, None]
            self.register_buffer(name, plane, persistent=False)

    def forward(self, batch: Batch) -> Features:
        return self.extract((batch.images["hr"][:, 0] - self.mean) / self.std)

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, C, H, W]."""
        maps = self.net(images)
        return Features(maps[-1].mean((2, 3)), maps)

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A file for three bands, loaded into four: the fourth input plane is a copy of red's.

        Source: github:Bili-Sakura/SkySense@107d4e0 tools/ckpt_convert.py.
        """
        kernel = state.get(FIRST)
        if kernel is None or len(self.mean) != 4 or kernel.ndim != 4 or kernel.shape[1] != 3:
            return state
        return {**state, FIRST: torch.cat((kernel, kernel[:, :1]), 1)}

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layers()
