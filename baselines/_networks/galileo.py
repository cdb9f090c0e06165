"""Galileo's encoder: a transformer over tokens of band groups, with patches of any size up to 8.

Source: Tseng et al., arXiv:2502.09356; github:nasaharvest/galileo@0f0b5b9 single_file_galileo.py,
read for the facts. The official encoder takes every group and a mask; here a group that is not
seen is left out, which gives the same numbers and costs nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_float32

BASE = 8  # patch size of the stored kernels
BASE_GSD = 10.0  # metres per pixel at which one pixel is one unit of position
DATES = 24  # length of the table of date positions

# Groups of bands and their number of channels, in the order of the channel embeddings.
SPACE_TIME = {
    "S1": 2,
    "S2_RGB": 3,
    "S2_Red_Edge": 3,
    "S2_NIR_10m": 1,
    "S2_NIR_20m": 1,
    "S2_SWIR": 2,
    "NDVI": 1,
}
SPACE = {"SRTM": 2, "DW": 9, "WC": 5}
TIME = {"ERA5": 2, "TC": 3, "VIIRS": 1}
STATIC = {"LS": 1, "location": 3, "DW_static": 9, "WC_static": 5}


class BandGroup(NamedTuple):
    """One band group of a batch, normalised.

    values: [B, T, C, H, W] (SPACE_TIME), [B, C, H, W] (SPACE), [B, T, C] (TIME), [B, C] (STATIC).
    """

    values: Tensor
    months: Tensor | None = None  # [B, T], 0..11; None for groups without time
    seen: Tensor | None = None  # [B, T], bool; None: every date


class Tokens(NamedTuple):
    """Output tokens of one band group."""

    values: Tensor  # [B, T, h, w, D] | [B, h, w, D] | [B, T, D] | [B, 1, D]
    seen: Tensor  # bool, the same without D


def sincos_codes(positions: Tensor, size: int) -> Tensor:
    """Sine-cosine codes of positions, [..., size].

    The frequencies are 10000 ** -(i / size / 2), not the usual i / (size / 2): a slip of the
    official code that the released weights were trained with.
    """
    powers: Tensor = torch.arange(size // 2, device=positions.device) / size / 2
    frequencies = torch.exp(-math.log(10000.0) * powers)
    angles = positions[..., None] * frequencies
    return torch.cat((angles.sin(), angles.cos()), -1)


def grid_codes(height: int, width: int, step: float, like: Tensor) -> Tensor:
    """Sine-cosine codes of a grid of tokens, [h, w, D / 4]: column, then row."""
    size = like.shape[-1] // 8
    columns = sincos_codes(torch.arange(width, device=like.device) * step, size)
    rows = sincos_codes(torch.arange(height, device=like.device) * step, size)
    grid = (height, width, size)
    return torch.cat((columns[None].expand(grid), rows[:, None].expand(grid)), -1)


@functools.cache
def kernel_resizer(patch: int, device: torch.device) -> Tensor:
    """Matrix that resizes a flat 8 x 8 kernel to patch x patch, [patch^2, 64].

    It is the pseudo-inverse of resizing an image (FlexiViT, arXiv:2212.08013, equation 4).
    """
    with torch.inference_mode(False):  # the cached tensor is used in training as well
        pixels = torch.eye(BASE * BASE).view(-1, 1, BASE, BASE)
        resized = F.interpolate(pixels, (patch, patch), mode="bicubic", antialias=True)
        inverse: Tensor = torch.linalg.pinv(resized.flatten(1))
        return inverse.to(device)


@in_float32
def _resized(kernels: Tensor, to: Tensor) -> Tensor:
    """Resize flat kernels [..., 64] by a matrix [patch^2, 64]."""
    return kernels @ to.T


class PatchEmbed(nn.Module):
    """A patch embedding whose kernel is resized to the requested patch size."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, BASE, BASE)

    def forward(self, x: Tensor, patch: int) -> Tensor:
        """[..., C, H, W] -> [..., h, w, D]."""
        kernel: Tensor = self.proj.weight
        if patch != BASE:
            flat = _resized(kernel.flatten(2), kernel_resizer(patch, kernel.device))
            kernel = flat.view(*kernel.shape[:2], patch, patch)
        maps = F.conv2d(x.flatten(0, -4), kernel, self.proj.bias, stride=patch)
        return maps.movedim(1, -1).reshape(*x.shape[:-3], *maps.shape[-2:], -1)


class Attention(nn.Module):
    """Self-attention with a key mask; `seen` [B, N] is False for masked tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        q, k, v = (
            part(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        mask = None if seen is None else seen[:, None, None]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(x.shape))
        return projected


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim, hidden)
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x), seen))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class Galileo(nn.Module):
    """The encoder, with its parameters under the published names."""

    def __init__(self, dim: int, depth: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        quarter = dim // 4
        month = torch.arange(12)[:, None] * (2 * math.pi / 12)
        table = torch.cat(
            [month.sin().expand(-1, quarter // 2), month.cos().expand(-1, quarter // 2)], 1
        )
        self.pos_embed = nn.Parameter(
            sincos_codes(torch.arange(DATES), quarter), requires_grad=False
        )
        self.month_embed = nn.Embedding(12, quarter, _weight=table)
        self.month_embed.requires_grad_(False)
        self.s_t_channel_embed = nn.Parameter(torch.zeros(len(SPACE_TIME), quarter))
        self.sp_channel_embed = nn.Parameter(torch.zeros(len(SPACE), quarter))
        self.t_channel_embed = nn.Parameter(torch.zeros(len(TIME), quarter))
        self.st_channel_embed = nn.Parameter(torch.zeros(len(STATIC), quarter))
        self.space_time_embed = nn.ModuleDict(
            {n: PatchEmbed(c, dim) for n, c in SPACE_TIME.items()}
        )
        self.space_embed = nn.ModuleDict({n: PatchEmbed(c, dim) for n, c in SPACE.items()})
        self.time_embed = nn.ModuleDict({n: nn.Linear(c, dim) for n, c in TIME.items()})
        self.static_embed = nn.ModuleDict({n: nn.Linear(c, dim) for n, c in STATIC.items()})
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio * dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.apply(_init_weights)

    def forward(
        self, groups: Mapping[str, BandGroup], patch: int, metres: float = BASE_GSD
    ) -> dict[str, Tokens]:
        """Return the normed tokens of the given groups, of at most 24 dates; metres: per pixel."""
        tokens = {n: self.embed(n, g, patch, metres * patch / BASE_GSD) for n, g in groups.items()}
        x = torch.cat([t.values.flatten(1, -2) for t in tokens.values()], 1)  # [B, N, D]
        seen = torch.cat([t.seen.flatten(1) for t in tokens.values()], 1)  # [B, N]
        # A sample that sees nothing looks at everything, to stay finite; nothing of it counts.
        mask = None if seen.all() else seen | ~seen.any(1, keepdim=True)
        for block in self.blocks:
            x = block(x, mask)
        parts = self.norm(x).split([t.seen[0].numel() for t in tokens.values()], 1)
        return {
            name: Tokens(part.view(t.values.shape), t.seen)
            for (name, t), part in zip(tokens.items(), parts, strict=True)
        }

    def embed(self, name: str, group: BandGroup, patch: int, step: float) -> Tokens:
        """Embed a group before the first block; step: distance between tokens in units of 10 m."""
        values, months, seen = group
        if name in SPACE_TIME:
            x = self.space_time_embed[name](values, patch)
            channel = self.s_t_channel_embed[list(SPACE_TIME).index(name)]
        elif name in SPACE:
            x = self.space_embed[name](values, patch)
            channel = self.sp_channel_embed[list(SPACE).index(name)]
        elif name in TIME:
            x = self.time_embed[name](values)
            channel = self.t_channel_embed[list(TIME).index(name)]
        else:
            x = self.static_embed[name](values)[:, None]
            channel = self.st_channel_embed[list(STATIC).index(name)]
        quarter = (*x.shape[:-1], x.shape[-1] // 4)
        code = [channel.expand(quarter)] + [x.new_zeros(quarter)] * 3
        if months is not None:
            dates = self.pos_embed[: months.shape[1]].expand(*months.shape, -1)  # [B, T, D / 4]
            spread = (*months.shape, *[1] * (x.ndim - 3), -1)
            code[1] = dates.reshape(spread).expand(quarter)
            code[2] = self.month_embed(months).reshape(spread).expand(quarter)
        if name in SPACE_TIME or name in SPACE:
            code[3] = grid_codes(x.shape[-3], x.shape[-2], step, x).expand(quarter)
        known = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        if seen is not None:
            known = known & seen.view(*seen.shape, *[1] * (x.ndim - 3))
        return Tokens(x + torch.cat(code, -1), known)


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
