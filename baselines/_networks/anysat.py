"""AnySat: a transformer over patches, whose tokens come from a transformer over sub-patches.

Source: Astruc et al., AnySat, arXiv:2412.14123; github:gastruc/AnySat@e03e72e hubconf.py,
src/models/networks/encoder, read for the facts. Of its eleven sensors three are built here: series
of Sentinel-2 and Sentinel-1, 10 m, and aerial images of 0.2 m.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._families.constants import constant

CHANNELS = {"s2": 10, "s1": 3}
HEADS = 16  # of the attention over dates
KEY = 8  # size of its keys
PERIOD = 367  # longest wave of the codes of dates, in days / 2 pi
AERIAL = 10  # pixels of an aerial image in a part, a side: 2 m
CELL = 5  # such parts in 10 m
EPS = 1e-6


def date_codes(days: Tensor, size: int) -> Tensor:
    """Interleaved sine-cosine codes of days of the year, [...] -> [..., size]."""
    steps = torch.arange(size, device=days.device)
    angles = days[..., None] / PERIOD ** (2 * (steps // 2) / size)
    return torch.where(steps % 2 == 0, angles.sin(), angles.cos())


def grid_codes(height: int, width: int, step: float, like: Tensor) -> Tensor:
    """Sine-cosine codes of grid positions `step` apart, [h, w, D]: column, then row."""
    quarter = like.shape[-1] // 4
    powers: Tensor = torch.arange(quarter, device=like.device) / quarter
    frequencies = 10000.0**-powers

    def code(count: int) -> Tensor:
        angles = torch.arange(count, device=like.device)[:, None] * step * frequencies
        return torch.cat((angles.sin(), angles.cos()), -1)

    grid = (height, width, 2 * quarter)
    return torch.cat((code(width)[None].expand(grid), code(height)[:, None].expand(grid)), -1)


def relative_position_buckets(height: int, width: int, device: torch.device) -> Tensor:
    """Index into the relative position table for each pair of tokens, [1 + h w, 1 + h w].

    Rounded distances 0, 1, 2-3 and above have entries 3 to 6, and the class token has 7. The first
    three entries are for negative distances and are never used.
    """
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    places = torch.stack((rows, columns), -1).float()
    distances = (places[:, None] - places).square().sum(-1).sqrt().round()
    buckets = 3 + torch.bucketize(distances, constant((1.0, 2.0, 4.0), distances), right=True)
    return F.pad(buckets, (1, 0, 1, 0), value=7)


def relative_position_bias(queries: Tensor, table: Tensor, places: Tensor) -> Tensor:
    """Attention bias by distance: [B, heads, N, d], [1, d, 8], [N, N] -> [B, 1, N, N].

    Scores of the queries against the table. All heads get the bias of the first, as in the
    official code when its compiled helper (rpe_ops) is not installed.
    """
    scores = queries[:, :1] @ table[0]
    return scores.gather(-1, places.expand(len(scores), 1, -1, -1))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Attention(nn.Module):
    """Self-attention, with or without a relative position bias."""

    def __init__(self, dim: int, heads: int, near: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.distances = nn.Parameter(0.02 * torch.randn(1, dim // heads, 8)) if near else None

    def forward(self, x: Tensor, places: Tensor | None) -> Tensor:
        split = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = split.unbind()
        mask = None
        if places is not None and self.distances is not None:
            mask = relative_position_bias(q * q.shape[-1] ** -0.5, self.distances, places)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(x.shape))
        return projected


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, eps: float, near: bool = False) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps), Attention(dim, heads, near)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps), Mlp(dim)
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x), places))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class CrossAttention(nn.Module):
    """Cross-attention from learned queries, one per location and one for the class, to all sensors.

    Unlike in `Attention`, the relative position bias uses the unscaled query.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_learned = nn.Parameter(torch.zeros(1, 1, dim))
        self.wk, self.wv, self.proj = (nn.Linear(dim, dim) for _ in range(3))
        self.distances = nn.Parameter(0.02 * torch.randn(1, dim // heads, 8))

    def forward(self, x: Tensor, codes: Tensor, places: Tensor) -> Tensor:
        """[B, 1 + sensors * N, D], codes of the places [N, D] -> [B, 1 + N, D]."""
        queries = (self.q_learned + F.pad(codes, (0, 0, 1, 0))).expand(len(x), -1, -1)
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (queries, self.wk(x), self.wv(x))
        )
        near = relative_position_bias(q, self.distances, places)
        sensors = (x.shape[1] - 1) // len(codes)
        mask = torch.cat((near[..., :1], near[..., 1:].repeat(1, 1, 1, sensors)), -1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected


class CrossBlock(nn.Module):
    """The last block: the output of cross-attention replaces the tokens, without a residual."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, EPS), CrossAttention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, EPS), Mlp(dim)
        self.drop_path2 = nn.Identity()

    def forward(self, x: Tensor, codes: Tensor, places: Tensor) -> Tensor:
        x = self.attn(self.norm1(x), codes, places)
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


def patchify(maps: Tensor, scale: int, cell: int = 1) -> Tensor:
    """Group a map of sub-patches, [B, D, H, W], by patch, [B, h, w, parts, D].

    A patch has scale x scale squares of 10 m, each with cell x cell sub-patches, in that order.
    """
    side = scale * cell
    height, width = (n // side for n in maps.shape[-2:])
    split = maps.reshape(*maps.shape[:2], height, scale, cell, width, scale, cell)
    return split.permute(0, 2, 5, 3, 6, 4, 7, 1).flatten(3, 6)


class SeriesEmbed(nn.Module):
    """Embeds a series of images: one vector per pixel, by attention over dates (L-TAE)."""

    def __init__(self, channels: int, dim: int, normed: bool) -> None:
        super().__init__()
        widths = (channels, dim // 8, dim // 2, dim, 2 * dim, dim)
        layers: list[nn.Module] = []
        for i, o in itertools.pairwise(widths):
            # The last of four is a dropout in pre-training.
            layers += [nn.Linear(i, o), nn.GroupNorm(4, o), nn.ReLU(), nn.Identity()]
        self.inconv = nn.Sequential(*layers)
        self.in_norm = nn.GroupNorm(HEADS, dim) if normed else nn.Identity()
        self.query = nn.Parameter(0.5 * torch.randn(HEADS, KEY))
        self.key = nn.Linear(dim, HEADS * KEY)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.GroupNorm(4, dim), nn.ReLU())
        self.out_norm = nn.GroupNorm(HEADS, dim)

    def forward(self, x: Tensor, days: Tensor, scale: int) -> Tensor:
        """[B, T, C, H, W] and days of the year, from 0, [B, T] -> [B, h, w, parts, D]."""
        count, dates, _, height, width = x.shape
        pixels = x.permute(0, 3, 4, 1, 2).flatten(0, 2)  # [P, T, C]
        hidden = self.inconv(pixels.flatten(0, 1)).unflatten(0, (-1, dates))
        hidden = self.in_norm(hidden.mT).mT
        codes = date_codes(days, hidden.shape[-1] // HEADS).repeat(1, 1, HEADS)
        hidden = hidden + codes.repeat_interleave(height * width, 0)
        keys = self.key(hidden).unflatten(-1, (HEADS, KEY))
        weights = torch.einsum("pthk,hk->pth", keys, self.query).div(KEY**0.5).softmax(1)
        values = hidden.unflatten(-1, (HEADS, -1))
        mixed = torch.einsum("pth,pthd->phd", weights, values).flatten(1)
        out = self.out_norm(self.mlp(mixed)).view(count, height, width, -1)
        return patchify(out.permute(0, 3, 1, 2), scale)


class AerialEmbed(nn.Module):
    """Embeds an image of 0.2 m: one vector per 2 x 2 m."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(channels, dim, AERIAL, AERIAL, bias=False)
        layers: list[nn.Module] = []
        for i, o in ((dim, 2 * dim), (2 * dim, dim)):
            layers += [nn.Linear(i, o), nn.LayerNorm(o), nn.ReLU()]
        self.mlp = nn.Sequential(*layers)

    def forward(self, x: Tensor, scale: int) -> Tensor:
        """[B, C, H, W] -> [B, h, w, parts, D]."""
        out: Tensor = self.mlp(patchify(self.patch_embed(x), scale, CELL))
        return out


class SpatialEncoder(nn.Module):
    """A transformer over the sub-patches of a patch; its class token is the patch's token."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, 1e-5, near=True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, parts: Tensor, side: int, metres: float) -> Tensor:
        """Encode sub-patches of side `metres`, [N, side * side, D] -> [N, D]."""
        x = parts + grid_codes(side, side, metres, parts).flatten(0, 1)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        places = relative_position_buckets(side, side, x.device)
        for block in self.blocks:
            x = block(x, places)
        out: Tensor = self.norm(x[:, 0])
        return out


class AnySat(nn.Module):
    """The network, with its parameters mostly under the published names."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.series = nn.ModuleDict(
            {name: SeriesEmbed(c, dim, name == "s2") for name, c in CHANNELS.items()}
        )
        self.aerial = AerialEmbed(4, dim)
        self.spatial_encoder = SpatialEncoder(dim, depth, heads)
        self.blocks = nn.ModuleList(Block(dim, heads, EPS) for _ in range(depth))
        self.blocks.append(CrossBlock(dim, heads))

    def forward(
        self, images: Mapping[str, Tensor], days: Mapping[str, Tensor], scale: int
    ) -> tuple[Tensor, Tensor]:
        """Return the class token, [B, D], and the patch tokens, [B, D, h, w].

        images: series [B, T, C, H, W], or "aerial" [B, 4, H, W]; days: of the year, from 0,
        [B, T]; scale: side of a patch in units of 10 m.
        """
        grids = [self._patches(name, x, days.get(name), scale) for name, x in images.items()]
        height, width = grids[0].shape[1:3]
        codes = grid_codes(height, width, scale, grids[0]).flatten(0, 1)
        tokens = [grid.flatten(1, 2) + codes for grid in grids]
        x = torch.cat((self.cls_token.expand(len(grids[0]), -1, -1), *tokens), 1)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        x = last(x, codes, relative_position_buckets(height, width, x.device))
        return x[:, 0], x[:, 1:].mT.unflatten(-1, (height, width))

    def _patches(self, name: str, x: Tensor, days: Tensor | None, scale: int) -> Tensor:
        """One token for each patch of a sensor, [B, h, w, D]."""
        cells, metres = (1, 10.0) if name in CHANNELS else (CELL, 2.0)
        parts = self.aerial(x, scale) if days is None else self.series[name](x, days, scale)
        tokens = self.spatial_encoder(parts.flatten(0, 2), scale * cells, metres)
        out: Tensor = tokens.unflatten(0, parts.shape[:3])
        return out

    def layer_groups(self) -> Sequence[nn.Module]:
        """Stem, then block by block, for layer-wise learning-rate decay."""
        inner = self.spatial_encoder
        tokens = nn.ParameterList((inner.cls_token, self.cls_token))
        *blocks, last = inner.blocks
        stem = nn.ModuleList((self.series, self.aerial, tokens))
        return (stem, *blocks, nn.ModuleList((last, inner.norm)), *self.blocks)
