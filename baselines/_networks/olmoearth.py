"""OlmoEarth's encoder, first generation: a transformer over tokens of band sets and dates.

Source: OlmoEarth, arXiv:2511.13655; github:allenai/olmoearth_pretrain@0a8852e
olmoearth_pretrain/nn/flexi_vit.py, read for the facts. It follows Galileo: the same blocks and
codes. Other than there, images are resized to the stored kernels, not the kernels to the patches.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .galileo import Block, grid_codes, sincos_codes

KERNEL = 8  # side of the stored kernels: the largest patch
DATES = 12  # of a series in pre-training, at most

# Sensor -> the sizes of its band sets, each of which is a token of a patch and date.
BAND_SETS = {"s2": (4, 6, 2), "s1": (2,)}


class Series(NamedTuple):
    """A normalised series of one sensor."""

    images: Tensor  # [B, T, C, H, W], the bands of all its sets, or of the first ones alone
    months: Tensor  # [B, T], 0..11


class PatchEmbed(nn.Module):
    """A patch embedding with patches of 8 x 8 pixels."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, KERNEL, KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 8 h, 8 w] -> [N, D, h, w]."""
        maps: Tensor = self.proj(x)
        return maps


class OlmoEarth(nn.Module):
    """The encoder, for Sentinel-2 and Sentinel-1."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        quarter = dim // 4
        angles = torch.arange(12)[:, None] * (torch.pi / 6)
        month = torch.cat([f(angles).expand(-1, quarter // 2) for f in (torch.sin, torch.cos)], 1)
        self.patch_embed = nn.ModuleDict(
            {n: nn.ModuleList(PatchEmbed(c, dim) for c in sets) for n, sets in BAND_SETS.items()}
        )
        self.channel_embed = nn.ParameterDict(
            {n: nn.Parameter(torch.zeros(len(sets), quarter)) for n, sets in BAND_SETS.items()}
        )
        self.month_embed = nn.Embedding(12, quarter, _weight=month).requires_grad_(False)
        self.blocks = nn.ModuleList(Block(dim, heads, 4 * dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, sensors: Mapping[str, Series], patch: int) -> dict[str, Tensor]:
        """Return the normed tokens of each sensor, [B, T, sets, h, w, D]; patch: 1 to 8 pixels."""
        tokens = {name: self.embed(name, series, patch) for name, series in sensors.items()}
        x = torch.cat([t.flatten(1, -2) for t in tokens.values()], 1)  # [B, N, D]
        for block in self.blocks:
            x = block(x, None)
        parts = self.norm(x).split([t[0, ..., 0].numel() for t in tokens.values()], 1)
        return {n: p.view(t.shape) for (n, t), p in zip(tokens.items(), parts, strict=True)}

    def embed(self, name: str, series: Series, patch: int) -> Tensor:
        """Embed a sensor before the first block, [B, T, sets, h, w, D]."""
        images, months = series
        height, width = (n // patch for n in images.shape[-2:])
        flat = images.flatten(0, 1)
        if patch != KERNEL:
            size = (height * KERNEL, width * KERNEL)
            flat = F.interpolate(flat, size, mode="bicubic", antialias=True)
        sizes = BAND_SETS[name]
        count = list(itertools.accumulate(sizes)).index(flat.shape[1]) + 1
        sets = torch.split(flat, list(sizes[:count]), 1)
        maps = [e(x) for e, x in zip(self.patch_embed[name].children(), sets, strict=False)]
        x = torch.stack(maps, 1).movedim(2, -1)  # [B T, sets, h, w, D]
        x = x.view(*months.shape, *x.shape[1:])
        quarter = (*x.shape[:-1], x.shape[-1] // 4)
        dates = sincos_codes(torch.arange(months.shape[1], device=x.device), quarter[-1])
        # A patch of one pixel of 10 m is one unit of position.
        codes = (
            self.channel_embed[name][:count, None, None],
            dates[:, None, None, None],
            self.month_embed(months)[:, :, None, None, None],
            grid_codes(height, width, patch, x),
        )
        out: Tensor = x + torch.cat([code.expand(quarter) for code in codes], -1)
        return out
