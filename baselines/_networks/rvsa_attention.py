"""The attention of RVSA: global, or within shifted, scaled and rotated windows.

In the second kind, each head predicts from the mean of a 7 x 7 window how to shift, scale and
rotate it, and the window's queries attend to keys and values that are sampled at these 49 points
by bilinear interpolation. For sources see `skybench.baselines._networks.rvsa`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._families.rvsa import Bias
from .precision import in_float32

WINDOW = 7  # tokens a side
Size = tuple[int, int]  # rows and columns of tokens


def relative_scores(q: Tensor, rows: Tensor, columns: Tensor, size: Size) -> Tensor:
    """Decomposed relative position scores, [..., h * w, h * w].

    q: [..., h * w, d]. rows, columns: tables [2 * n - 1, d] by offset, resized if n is not h or w.
    """
    height, width = size
    grid = torch.unflatten(q, -2, size)
    down = torch.einsum("...hwd,hkd->...hwk", grid, _offsets(rows, height))
    across = torch.einsum("...hwd,wkd->...hwk", grid, _offsets(columns, width))
    return (down[..., :, None] + across[..., None, :]).flatten(-2).flatten(-3, -2)


def _offsets(table: Tensor, side: int) -> Tensor:
    """Table entry of each pair (query, key), [side, side, d]."""
    length = 2 * side - 1
    if len(table) != length:
        # As MTP's RS_Tasks_Finetune/Scene_Classification does it; its other tasks start anew.
        shape = (length, table.shape[1])
        table = F.interpolate(table[None, None], shape, mode="bicubic", align_corners=False)[0, 0]
    at = torch.arange(side, device=table.device)
    return table[at[:, None] - at + side - 1]


def relative_index() -> Tensor:
    """Row of the bias table for each pair (query, key) of a window, int64 [49, 49]."""
    side = torch.arange(WINDOW)
    at = torch.cartesian_prod(side, side)
    offset = at[:, None] - at + WINDOW - 1
    return offset[..., 0] * (2 * WINDOW - 1) + offset[..., 1]


class Projection(nn.Linear):
    """The linear layer that gives queries, keys and values."""

    def __init__(self, dim: int, heads: int, bias: Bias) -> None:
        super().__init__(dim, 3 * dim, bias == "all")
        self.heads = heads
        split = bias == "query and value"
        self.q_bias = nn.Parameter(torch.zeros(dim)) if split else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if split else None

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [3, B, heads, N, C / heads]."""
        bias: Tensor | None = self.bias
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        qkv = F.linear(x, self.weight, bias)
        return qkv.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)


class Attention(nn.Module):
    """Global attention; side: of the relative position tables, 0 for none."""

    def __init__(self, dim: int, heads: int, bias: Bias, side: int) -> None:
        super().__init__()
        self.qkv = Projection(dim, heads, bias)
        self.proj = nn.Linear(dim, dim)
        shape = (2 * side - 1, dim // heads)
        self.rel_pos_h = nn.Parameter(torch.zeros(shape)) if side else None
        self.rel_pos_w = nn.Parameter(torch.zeros(shape)) if side else None

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        q, k, v = self.qkv(x)
        scores = None
        if self.rel_pos_h is not None and self.rel_pos_w is not None:
            scaled = q * q.shape[-1] ** -0.5
            scores = relative_scores(scaled, self.rel_pos_h, self.rel_pos_w, size)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=scores)
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected


class WindowAttention(nn.Module):
    """Attention from the tokens of each window to the points that each head predicts for it."""

    index: Tensor

    def __init__(self, dim: int, heads: int, bias: Bias, separate: bool) -> None:
        super().__init__()
        self.qkv = Projection(dim, heads, bias)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * WINDOW - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * WINDOW - 1, dim // heads))
        table = torch.empty((2 * WINDOW - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("index", relative_index(), persistent=False)
        self.suffixes = ("_k", "_v") if separate else ("",)
        for suffix in self.suffixes:
            for name, count in (("offsets", 2), ("scales", 2), ("angles", 1)):
                layers = nn.AvgPool2d(WINDOW), nn.LeakyReLU(), nn.Conv2d(dim, count * heads, 1)
                self.add_module(f"sampling_{name}{suffix}", nn.Sequential(*layers))

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """[B, h * w, C] -> [B, h * w, C]; the map is zero-padded to whole windows."""
        height, width = size
        below, right = -height % WINDOW, -width % WINDOW
        margins = (right // 2, right - right // 2, below // 2, below - below // 2)
        maps = F.pad(torch.unflatten(x.mT, 2, size), margins)  # [B, C, H, W]
        qkv = torch.unflatten(self.qkv(x).flatten(1, 2).mT, -1, size)  # [3, B * heads, d, h, w]
        q, k, v = F.pad(qkv, margins)
        places = [self.places(maps, size, suffix) for suffix in self.suffixes]
        q = window_partition(q)
        k, v = (
            window_partition(F.grid_sample(t, at, padding_mode="zeros", align_corners=True))
            for t, at in ((k, places[0]), (v, places[-1]))
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.scores(q))
        out = out.view(len(q), maps.shape[2] // WINDOW, -1, WINDOW, WINDOW, q.shape[-1])
        out = out.permute(0, 5, 1, 3, 2, 4).reshape(len(x), -1, *maps.shape[2:])
        out = out[..., below // 2 :, right // 2 :][..., :height, :width]
        projected: Tensor = self.proj(out.flatten(2).mT)
        return projected

    def scores(self, q: Tensor) -> Tensor:
        """Relative position scores within a window, [B * heads, windows, 49, 49].

        Unlike those of `Attention`, these queries are not scaled.
        """
        found = relative_scores(q, self.rel_pos_h, self.rel_pos_w, (WINDOW, WINDOW))
        bias = self.relative_position_bias_table[self.index].permute(2, 0, 1)  # [heads, 49, 49]
        return found + bias.repeat(len(q) // len(bias), 1, 1)[:, None]

    @in_float32
    def places(self, maps: Tensor, size: Size, suffix: str) -> Tensor:
        """Sampling points of the windows, [B * heads, H, W, 2], (x, y) in -1..1."""
        offsets, scales, angles = (
            self.get_submodule(f"sampling_{name}{suffix}")(maps).unflatten(1, (-1, count))
            for name, count in (("offsets", 2), ("scales", 2), ("angles", 1))
        )  # [B, heads, count, H / 7, W / 7]
        height, width = maps.shape[2:]
        # The unfilled map's whole windows; x goes by their rows, y by columns, as officially.
        shift_x, shift_y = (offsets[:, :, i] / (size[i] // WINDOW) for i in (0, 1))
        step = torch.arange(WINDOW, device=maps.device) - WINDOW // 2
        x = step * 2 / (width - 1) * (scales[:, :, 0, ..., None, None] + 1)
        y = (step * 2 / (height - 1))[:, None] * (scales[:, :, 1, ..., None, None] + 1)
        angle = angles[:, :, 0, ..., None, None]
        sine, cosine = angle.sin(), angle.cos()
        turned_x = x * cosine - y * sine + (window_centres(width, step) + shift_x)[..., None, None]
        turned_y = x * sine + y * cosine
        turned_y = turned_y + (window_centres(height, step)[:, None] + shift_y)[..., None, None]
        found = torch.stack((turned_x, turned_y), -1)  # [B, heads, rows, columns, 7, 7, 2]
        return found.transpose(3, 4).reshape(-1, height, width, 2)


def window_centres(side: int, step: Tensor) -> Tensor:
    """Centres of the windows along a padded side in -1..1, on the device of `step`."""
    first = torch.arange(0, side, WINDOW, device=step.device)
    return (first + WINDOW // 2) * 2 / (side - 1) - 1


def window_partition(x: Tensor) -> Tensor:
    """[N, d, H, W] -> [N, windows, 49, d]."""
    count, channels, height, width = x.shape
    x = x.reshape(count, channels, height // WINDOW, WINDOW, width // WINDOW, WINDOW)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, WINDOW * WINDOW, channels)
