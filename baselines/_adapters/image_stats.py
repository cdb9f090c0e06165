"""The adapter of the image-statistics floor: per-band statistics, no learned weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.floors import SCALES


class ImageStats(Model):
    """Images of any sensors, [B, 1, C, H, W] each -> statistics of each band, no maps."""

    def __init__(self, card: ModelCard, quantiles: Sequence[float]) -> None:
        super().__init__(card)
        self.quantiles = tuple(quantiles)

    def forward(self, batch: Batch) -> Features:
        columns = []
        for sensor in self.card.inputs:
            if sensor.name in batch.images:
                middle, spread = SCALES[sensor.unit]
                columns.append(self.statistics((batch.images[sensor.name][:, 0] - middle) / spread))
            else:
                any_sensor = next(iter(batch.images.values()))
                width = (2 + len(self.quantiles)) * len(sensor.bands)
                columns.append(any_sensor.new_zeros(len(any_sensor), width))
        return Features(torch.cat(columns, 1), ())

    def statistics(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> mean, standard deviation and quantiles (nearest rank), [B, 7 C]."""
        pixels = images.flatten(2).sort(-1).values  # [B, C, H W]; torch.quantile has a size limit
        ranks = [round(q * (pixels.shape[-1] - 1)) for q in self.quantiles]
        std, mean = torch.std_mean(pixels, -1, correction=0)
        return torch.cat((mean, std, pixels[..., ranks].flatten(1)), 1)
