"""The adapter of Prithvi."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.constants import per_channel
from .._families.prithvi import Arch
from .._networks.prithvi import Prithvi
from .dates import year_and_ordinal
from .series import series_parts

# Mean and standard deviation of the pre-training data, reflectance x 1e4, in the bands' order.
# Source: github:terrastackai/terratorch@f111497 terratorch/models/backbones/prithvi_vit.py.
STATISTICS = {
    1: ((775.0, 1081.0, 1229.0, 2497.0, 2204.0, 1611.0),
        (1282.0, 1270.0, 1399.0, 1368.0, 1292.0, 1155.0)),
    2: ((1087.0, 1342.0, 1433.0, 2734.0, 1958.0, 1363.0),
        (2248.0, 2179.0, 2178.0, 1850.0, 1242.0, 1049.0)),
}  # fmt: skip


def year_and_day(days: Tensor) -> Tensor:
    """Days since 1970-01-01 -> (year, day of the year from 1), [..., 2]; NaN for -1 (unknown)."""
    year, day = year_and_ordinal(days)
    result = torch.stack((year, day + 1), -1).float()
    return result.masked_fill((days < 0)[..., None], torch.nan)


class PrithviModel(Model):
    """Series of six bands -> the mean of all patch tokens, and a map of their means over dates."""

    def __init__(self, card: ModelCard, arch: Arch) -> None:
        super().__init__(card)
        self.generation, self.frames, self.located = arch.generation, arch.frames, arch.located
        stored = (arch.frames, arch.image // arch.patch)
        self.net = Prithvi(stored, arch.patch, arch.dim, arch.depth, arch.heads, arch.located)

    def forward(self, batch: Batch) -> Features:
        x = self.normalise(batch.images["s2"])  # [B, T, 6, H, W]
        size = [n // self.net.patch for n in x.shape[-2:]]
        level = x.new_zeros(len(x), self.card.dim, *size)
        for part in series_parts({"s2": batch.seen["s2"]}, self.frames):
            images = part.pick({"s2": x})["s2"].transpose(1, 2)
            when = where = None
            if self.located:
                when = year_and_day(part.pick(batch.days)["s2"])
                where = batch.lonlat[part.rows].flip(1).float()
            result = self.extract(images, when, where).pyramid[0]
            level = level.index_add(0, part.rows, part.share * result.to(level))
        return Features(level.mean((2, 3)), (level,))

    def normalise(self, images: Tensor) -> Tensor:
        """[..., 6, H, W] in the input's unit -> (x - mean) / standard deviation."""
        mean, std = (per_channel(s, images) for s in STATISTICS[self.generation])
        return (images - mean) / std

    def extract(
        self, images: Tensor, when: Tensor | None = None, where: Tensor | None = None
    ) -> Features:
        """Features of normalised images, [B, 6, T, H, W]; see `Prithvi.tokens`."""
        (last,) = deque(self.net.tokens(images, when, where), 1)
        height, width = (n // self.net.patch for n in images.shape[-2:])
        patches = self.net.norm(last)[:, 1:]
        dates = patches.mT.reshape(len(images), last.shape[-1], -1, height, width)
        return Features(patches.mean(1), (dates.mean(2),))

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Drop a stored positional embedding for another number of dates; it is computed here."""
        table = state.get("net.pos_embed", self.net.pos_embed)
        fits = table.shape == self.net.pos_embed.shape
        return {k: t for k, t in state.items() if fits or k != "net.pos_embed"}

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        encoders = [net.temporal_embed_enc, net.location_embed_enc] if self.located else []
        stem = nn.ModuleList((net.patch_embed, nn.ParameterList([net.cls_token]), *encoders))
        return (stem, *net.blocks)
