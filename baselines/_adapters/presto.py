"""The adapter of Presto."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.band_groups import GROUPS, NIR, RED
from .._networks.presto import DATES, BandGroup, Presto
from .dates import months
from .grids import common_size
from .series import series_parts

# Month (from 0) of a date that is not known. Source: the same first author's
# github:nasaharvest/galileo@b453123 src/eval/baseline_models/presto/wrapper.py.
UNKNOWN = 6
TOKENS = 2**16  # that are in memory at a time, about 0.5 GB


def ndvi(s2: Tensor) -> Tensor:
    """NDVI of reflectances, [..., 10] -> [..., 1]; 0 where red and near infrared sum to 0."""
    red, nir = s2[..., RED, None], s2[..., NIR, None]
    total = red + nir
    return torch.where(total > 0, (nir - red) / total.where(total > 0, 1), 0)


def groups(name: str, x: Tensor) -> dict[str, Tensor]:
    """The normalised band groups of one input [..., C] in its unit."""
    normed = (x + 25) / 25 if name == "s1" else x / 1e4
    encoded = {group: normed[..., channels] for group, channels in GROUPS[name].items()}
    return encoded | {"NDVI": ndvi(normed)} if name == "s2" else encoded


class PrestoModel(Model):
    """Sentinel-2 (all bands or RGB) and Sentinel-1 series; each patch mean is read as one pixel.

    The map holds each patch's encoding, `pooled` their mean and standard deviation.
    """

    def __init__(self, card: ModelCard, depth: int, heads: int) -> None:
        super().__init__(card)
        ((dim, self.patch),) = card.levels
        self.net = Presto(dim, depth, heads)

    def forward(self, batch: Batch) -> Features:
        names = [n for n in batch.images if not (n == "s2_rgb" and "s2" in batch.images)]
        height, width = common_size(self.card.name, (batch.images[n] for n in names))
        known = batch.lonlat.isfinite().all(1)
        level = batch.images[names[0]].new_zeros(
            len(known), self.net.norm.weight.numel(), height // self.patch, width // self.patch
        )
        for part in series_parts({n: batch.seen[n] for n in names}, DATES, known[:, None]):
            images, days = part.pick(batch.images), part.pick(batch.days)
            place = batch.lonlat[part.rows].flip(1).float() if known[part.rows[0]] else None
            maps = self.maps(images, {n: months(d, UNKNOWN) for n, d in days.items()}, place)
            level = level.index_add(0, part.rows, part.share * maps.to(level))
        encodings = level.flatten(2)
        deviation = encodings.std(2, correction=int(encodings.shape[2] > 1))
        return Features(torch.cat((encodings.mean(2), deviation), 1), (level,))

    def maps(
        self, images: Mapping[str, Tensor], when: Mapping[str, Tensor], place: Tensor | None
    ) -> Tensor:
        """The encoding of each patch, [B, D, h, w].

        images: [B, T, C, H, W] in the inputs' units, T at most 24. when: months, [B, T]. place:
        latitude and longitude, [B, 2], or None.
        """
        first = next(iter(images.values()))
        grid = [n // self.patch for n in first.shape[-2:]]
        each = grid[0] * grid[1]  # patches of an image
        series: dict[str, BandGroup] = {}
        for name, x in images.items():
            means = F.avg_pool2d(x.flatten(0, 1), self.patch).view(*x.shape[:3], -1)
            pixels = means.permute(0, 3, 1, 2).flatten(0, 1)  # [B * h * w, T, C]
            dates = when[name].repeat_interleave(each, 0)
            series |= {g: BandGroup(values, dates) for g, values in groups(name, pixels).items()}
        places = None if place is None else place.repeat_interleave(each, 0)
        encodings = self.encode(series, places)
        return encodings.view(-1, *grid, encodings.shape[-1]).movedim(-1, 1)

    def encode(self, series: Mapping[str, BandGroup], places: Tensor | None) -> Tensor:
        """Encode pixels in chunks, [N, D]."""
        count = len(next(iter(series.values())).values)
        step = max(1, TOKENS // (1 + sum(g.values.shape[1] for g in series.values())))
        encoded = []
        for start in range(0, count, step):
            some = slice(start, start + step)
            chunk = {n: BandGroup(g.values[some], g.months[some]) for n, g in series.items()}
            encoded.append(self.net.pool(self.net(chunk, None if places is None else places[some])))
        return torch.cat(encoded)

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        stem = (net.eo_patch_embed, net.dw_embed, net.latlon_embed, net.channel_embed)
        return (nn.ModuleList(stem), *net.blocks)
