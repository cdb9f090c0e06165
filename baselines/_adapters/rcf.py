"""The adapter of random convolutional features."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.floors import SCALES

SEED = 20210720  # of the kernels; any would do
# Biases are drawn from here to 0. On EuroSAT's RGB (100 training images a class) a linear probe
# reached 0.78; with -1 for all and no kernel without its mean, as in torchgeo's RCF, 0.65.
LOWEST_BIAS = -0.5
STRIDE = 4
AT_ONCE = 32  # kernels, to bound memory on large images


class RandomConvolution(Model):
    """Images of any sensors, [B, 1, C, H, W] each -> mean ReLU responses, and one map of them."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        count = card.dim // 2
        with torch.device("cpu"):  # the same kernels on every device
            generator = torch.Generator().manual_seed(SEED)
            for sensor in card.inputs:
                kernels = torch.randn(count, len(sensor.bands), 3, 3, generator=generator)
                kernels[::2] -= kernels[::2].mean((2, 3), keepdim=True)  # half see only texture
                kernels /= kernels.flatten(1).norm(dim=1)[:, None, None, None]
                self.register_buffer(f"kernels_{sensor.name}", kernels, persistent=False)
            bias = LOWEST_BIAS * torch.rand(count, generator=generator)
            self.register_buffer("bias", bias[:, None, None], persistent=False)

    def forward(self, batch: Batch) -> Features:
        maps = []
        for sensor in self.card.inputs:
            if sensor.name in batch.images:
                middle, spread = SCALES[sensor.unit]
                images = (batch.images[sensor.name][:, 0] - middle) / spread
                maps.append(self.respond(images, self.get_buffer(f"kernels_{sensor.name}")))
        pooled = torch.stack([m.mean((2, 3)) for m in maps]).mean(0)
        grid = max(m.shape[-2:] for m in maps)  # the finest sensor's
        dense = torch.stack([F.interpolate(m, grid, mode="bilinear") for m in maps]).mean(0)
        return Features(pooled, (dense,))

    def respond(self, images: Tensor, kernels: Tensor) -> Tensor:
        """[B, C, H, W] -> responses averaged over 4 x 4 pixels, [B, 2 kernels, H / 4, W / 4]."""
        bias = self.get_buffer("bias")
        padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)  # twice as fast
        maps = []
        for start in range(0, len(kernels), AT_ONCE):
            out = F.conv2d(padded, kernels[start : start + AT_ONCE])
            offset = bias[start : start + AT_ONCE]
            maps += [F.avg_pool2d(F.relu(x), STRIDE) for x in (offset + out, offset - out)]
        return torch.cat(maps, 1)
