"""Presto's encoder: a transformer over a pixel's band groups and dates.

Source: Tseng et al., arXiv:2304.14065; github:nasaharvest/presto@13173d0 single_file_presto.py,
read for the facts. The official encoder takes every group and a mask; here a group that is not
seen is left out, which gives the same numbers and costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .precision import in_float32

DATES = 24  # that can be read together
# Groups of bands and their number of channels, in the order of tokens and channel embeddings.
GROUPS = {
    "S1": 2,
    "S2_RGB": 3,
    "S2_Red_Edge": 3,
    "S2_NIR_10m": 1,
    "S2_NIR_20m": 1,
    "S2_SWIR": 2,
    "ERA5": 2,
    "SRTM": 2,
    "NDVI": 1,
}
LAND_COVER = "dynamic_world"  # comes last
CLASSES = 10  # of land cover, the last for an unknown one


class BandGroup(NamedTuple):
    """One band group of some pixels, normalised."""

    values: Tensor  # [B, T, C]; of "SRTM" [B, 1, C]; classes of "dynamic_world", int64 [B, T]
    months: Tensor  # [B, T], 0..11


def date_codes(size: int) -> Tensor:
    """Interleaved sine-cosine codes of the index of a date in the series, [1, DATES, size]."""
    steps = torch.arange(size) // 2 * 2 / size
    angles = torch.arange(DATES)[:, None] / 1000.0**steps
    return torch.where(torch.arange(size) % 2 == 0, angles.sin(), angles.cos())[None]


def month_codes(size: int) -> Tensor:
    """Codes of the months, [12, size]: a sine in the first half, a cosine in the second."""
    angles = torch.arange(12)[:, None] * (2 * math.pi / 12)
    return torch.cat((angles.sin().expand(-1, size // 2), angles.cos().expand(-1, size // 2)), 1)


def cartesian(place: Tensor) -> Tensor:
    """Convert latitude and longitude in degrees, [B, 2], to points of the unit sphere, [B, 3]."""
    latitude, longitude = place.deg2rad().unbind(1)
    flat = latitude.cos()
    return torch.stack((flat * longitude.cos(), flat * longitude.sin(), latitude.sin()), 1)


class Presto(nn.Module):
    """The encoder, with its parameters under the published names."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        quarter = dim // 4
        self.eo_patch_embed = nn.ModuleDict({n: nn.Linear(c, dim) for n, c in GROUPS.items()})
        self.dw_embed = nn.Embedding(CLASSES, dim)
        self.latlon_embed = nn.Linear(3, dim)
        self.pos_embed = nn.Parameter(date_codes(dim - 2 * quarter), requires_grad=False)
        self.month_embed = nn.Embedding(12, quarter, _weight=month_codes(quarter))
        self.month_embed.requires_grad_(False)
        self.channel_embed = nn.Embedding(len(GROUPS) + 1, quarter)
        self.blocks = nn.ModuleList(
            Block(dim, heads, qkv_bias=True, norm_layer=nn.LayerNorm) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.apply(_init_weights)

    def forward(self, groups: Mapping[str, BandGroup], place: Tensor | None = None) -> Tensor:
        """Return the tokens before the last norm, [B, N, D]: location, then groups, by date.

        groups: the seen band groups by name. place: latitude and longitude in degrees, [B, 2];
        None if unknown: there is no location token then.
        """
        tokens = [] if place is None else [self.place(place)[:, None]]
        tokens += [self.embed(n, groups[n]) for n in (*GROUPS, LAND_COVER) if n in groups]
        x = torch.cat(tokens, 1)
        for block in self.blocks:
            x = block(x)
        return x

    @in_float32
    def place(self, place: Tensor) -> Tensor:
        """Embed a place, latitude and longitude in degrees, [B, 2] -> [B, D]."""
        embedded: Tensor = self.latlon_embed(cartesian(place))
        return embedded

    def pool(self, tokens: Tensor) -> Tensor:
        """The normed mean of all tokens, [B, D]."""
        pooled: Tensor = self.norm(tokens.mean(1))
        return pooled

    def embed(self, name: str, group: BandGroup) -> Tensor:
        """Embed a group before the first block, [B, T, D]."""
        land = name == LAND_COVER
        x: Tensor = (self.dw_embed if land else self.eo_patch_embed[name])(group.values)
        return x + self.codes(name, group.months)

    def codes(self, name: str, months: Tensor) -> Tensor:
        """Month, group and date codes of a group's tokens, [B, T, D]; T = 1 for "SRTM"."""
        month = self.month_embed(months)
        date = self.pos_embed[:, : months.shape[1]].expand(len(months), -1, -1)
        if name == "SRTM":  # it has no time
            month, date = torch.zeros_like(month[:, :1]), torch.zeros_like(date[:, :1])
        channel = self.channel_embed.weight[[*GROUPS, LAND_COVER].index(name)]
        return torch.cat((month, channel.expand(*month.shape[:2], -1), date), -1)


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
