"""AnySat: a transformer over patches, each of which is the token of a transformer over its parts.

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

CHANNELS = {"s2": 10, "s1": 3}
HEADS = 16  # of the attention over dates
KEY = 8  # size of its keys
PERIOD = 367  # longest wave of the codes of dates, in days / 2 pi
AERIAL = 10  # pixels of an aerial image in a part, a side: 2 m
CELL = 5  # such parts in 10 m
EPS = 1e-6


def date_codes(days: Tensor, size: int) -> Tensor:
    """Sines and cosines, in turn, of days of the year, [...] -> [..., size]."""
    steps = torch.arange(size, device=days.device)
    angles = days[..., None] / PERIOD ** (2 * (steps // 2) / size)
    return torch.where(steps % 2 == 0, angles.sin(), angles.cos())


def grid_codes(height: int, width: int, step: float, like: Tensor) -> Tensor:
    """Codes of a grid's places, step apart, [h, w, D]: of the column, then of the row."""
    quarter = like.shape[-1] // 4
    powers: Tensor = torch.arange(quarter, device=like.device) / quarter
    frequencies = 10000.0**-powers

    def code(count: int) -> Tensor:
        angles = torch.arange(count, device=like.device)[:, None] * step * frequencies
        return torch.cat((angles.sin(), angles.cos()), -1)

    grid = (height, width, 2 * quarter)
    return torch.cat((code(width)[None].expand(grid), code(height)[:, None].expand(grid)), -1)


def buckets(height: int, width: int, device: torch.device) -> Tensor:
    """Which entry of a table of distances each pair of tokens has, [1 + h w, 1 + h w].

    Distances are rounded: 0, 1, 2 and 3, more. Their entries are 3 to 6, that of the class token
    is 7; the first three would be those of negative distances and are never used.
    """
    rows = torch.arange(height, device=device).repeat_interleave(width)
    columns = torch.arange(width, device=device).repeat(height)
    places = torch.stack((rows, columns), -1).float()
    distances = (places[:, None] - places).square().sum(-1).sqrt().round()
    found = 3 + torch.bucketize(distances, torch.tensor([1.0, 2.0, 4.0], device=device), right=True)
    return F.pad(found, (1, 0, 1, 0), value=7)


def bias(queries: Tensor, table: Tensor, places: Tensor) -> Tensor:
    """What attention gets by distance: [B, heads, N, d], [1, d, 8], [N, N] -> [B, 1, N, N].

    Each query is compared with the table's entries. All heads get what those of the first give: so
    does the official code where its compiled helper (rpe_ops) is not there.
    """
    found = queries[:, :1] @ table[0]
    return found.gather(-1, places.expand(len(found), 1, -1, -1))


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Attention(nn.Module):
    """Self-attention, with or without a table of distances."""

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
            mask = bias(q * q.shape[-1] ** -0.5, self.distances, places)
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
    """One learned query for each place, and one for the class, looks at the tokens of all sensors.

    Other than in `Attention` it is the unscaled query that meets the table of distances.
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
        near = bias(q, self.distances, places)
        sensors = (x.shape[1] - 1) // len(codes)
        mask = torch.cat((near[..., :1], near[..., 1:].repeat(1, 1, 1, sensors)), -1)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected


class CrossBlock(nn.Module):
    """The last block: what the queries found replaces the tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, EPS), CrossAttention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, EPS), Mlp(dim)
        self.drop_path2 = nn.Identity()

    def forward(self, x: Tensor, codes: Tensor, places: Tensor) -> Tensor:
        x = self.attn(self.norm1(x), codes, places)
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


def cut(maps: Tensor, scale: int, cell: int = 1) -> Tensor:
    """Maps of parts, [B, D, H, W] -> the parts of each patch, [B, h, w, parts, D].

    A patch has scale x scale squares of 10 m, and each of these cell x cell parts; in that order.
    """
    side = scale * cell
    height, width = (n // side for n in maps.shape[-2:])
    split = maps.reshape(*maps.shape[:2], height, scale, cell, width, scale, cell)
    return split.permute(0, 2, 5, 3, 6, 4, 7, 1).flatten(3, 6)


class SeriesEmbed(nn.Module):
    """A series of images -> a vector for each pixel, by attention over its dates (L-TAE)."""

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
        found = self.inconv(pixels.flatten(0, 1)).unflatten(0, (-1, dates))
        found = self.in_norm(found.mT).mT
        codes = date_codes(days, found.shape[-1] // HEADS).repeat(1, 1, HEADS)
        found = found + codes.repeat_interleave(height * width, 0)
        keys = self.key(found).unflatten(-1, (HEADS, KEY))
        weights = torch.einsum("pthk,hk->pth", keys, self.query).div(KEY**0.5).softmax(1)
        values = found.unflatten(-1, (HEADS, -1))
        mixed = torch.einsum("pth,pthd->phd", weights, values).flatten(1)
        out = self.out_norm(self.mlp(mixed)).view(count, height, width, -1)
        return cut(out.permute(0, 3, 1, 2), scale)


class AerialEmbed(nn.Module):
    """An image of 0.2 m -> a vector for each 2 x 2 m."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(channels, dim, AERIAL, AERIAL, bias=False)
        layers: list[nn.Module] = []
        for i, o in ((dim, 2 * dim), (2 * dim, dim)):
            layers += [nn.Linear(i, o), nn.LayerNorm(o), nn.ReLU()]
        self.mlp = nn.Sequential(*layers)

    def forward(self, x: Tensor, scale: int) -> Tensor:
        """[B, C, H, W] -> [B, h, w, parts, D]."""
        out: Tensor = self.mlp(cut(self.patch_embed(x), scale, CELL))
        return out


class SpatialEncoder(nn.Module):
    """The parts of a patch -> its token, a class token that has seen them all."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, 1e-5, near=True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, parts: Tensor, side: int, metres: float) -> Tensor:
        """[N, side * side, D], parts of that many metres -> [N, D]."""
        x = parts + grid_codes(side, side, metres, parts).flatten(0, 1)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        places = buckets(side, side, x.device)
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
        """The class token, [B, D], and the patches' tokens, [B, D, h, w].

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
        x = last(x, codes, buckets(height, width, x.device))
        return x[:, 0], x[:, 1:].mT.unflatten(-1, (height, width))

    def _patches(self, name: str, x: Tensor, days: Tensor | None, scale: int) -> Tensor:
        """One token for each patch of a sensor, [B, h, w, D]."""
        cells, metres = (1, 10.0) if name in CHANNELS else (CELL, 2.0)
        parts = self.aerial(x, scale) if days is None else self.series[name](x, days, scale)
        found = self.spatial_encoder(parts.flatten(0, 2), scale * cells, metres)
        out: Tensor = found.unflatten(0, parts.shape[:3])
        return out

    def layers(self) -> Sequence[nn.Module]:
        """From stem to last block."""
        inner = self.spatial_encoder
        tokens = nn.ParameterList((inner.cls_token, self.cls_token))
        *blocks, last = inner.blocks
        stem = nn.ModuleList((self.series, self.aerial, tokens))
        return (stem, *blocks, nn.ModuleList((last, inner.norm)), *self.blocks)
