"""Deformable attention: each cell of a map attends to a few learned points of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_float32


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of [B, C, H, W] over its channels."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def reference_grid(height: int, width: int, first: float, like: Tensor) -> Tensor:
    """Grid points, [H, W, 2] as (y, x), at `first`, `first` + 1, … cells; -1..1 are outer cells."""
    rows, columns = (
        (torch.arange(n, dtype=like.dtype, device=like.device) + first) / (n - 1) * 2 - 1
        for n in (height, width)
    )
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)


class DeformableAttention(nn.Module):
    """Multi-head attention of a map [B, C, H, W] to itself, sampled at shifted points.

    Each group of channels (two heads) has its own points: a regular grid, one every `stride`
    cells, plus offsets that a small network predicts from the queries. Each pair of cell and point
    gets a learned bias from a table over their displacement, in units of the map's side, so a
    table made for maps of `side` cells serves all maps with more than `stride` cells a side. The
    grid of points starts half a cell late and ends outside, where it is clipped: the published
    networks were trained this way.
    Source: github:zhu-xlab/DeCUR@f190e9a src/transfer_classification_BE/models/dat/dat_blocks.py
    (DAttentionBaseline with offset_range_factor -1 and use_pe, after Xia et al. 2022,
    arXiv:2201.00520), read for the definition.
    """

    def __init__(self, channels: int, heads: int, stride: int, kernel: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.groups = heads // 2
        width = channels // self.groups
        self.offset = nn.Sequential(
            nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width),
            ChannelNorm(width),
            nn.GELU(),
            nn.Conv2d(width, 2, 1, bias=False),
        )
        self.query, self.key, self.value, self.out = (
            nn.Conv2d(channels, channels, 1) for _ in range(4)
        )
        self.table = nn.Parameter(torch.zeros(heads, 2 * side - 1, 2 * side - 1))
        nn.init.trunc_normal_(self.table, std=0.01)

    @in_float32
    def points(self, query: Tensor) -> Tensor:
        """Predict sampling points from queries, [B, C, H, W] -> [B * groups, h, w, 2] as (y, x)."""
        shift: Tensor = self.offset(
            query.reshape(-1, query.shape[1] // self.groups, *query.shape[2:])
        )
        regular = reference_grid(shift.shape[2], shift.shape[3], 0.5, shift)
        return (shift.permute(0, 2, 3, 1) + regular).clamp(-1, 1)

    @in_float32
    def bias(self, points: Tensor, height: int, width: int) -> Tensor:
        """Relative position bias of the scores, [B * heads, H * W, h * w], of sampling points."""
        places = reference_grid(height, width, 0.0, points).reshape(-1, 1, 2)
        apart = (places - points.flatten(1, 2)[:, None]) / 2  # [B * groups, H * W, h * w, 2]
        table = self.table.reshape(self.groups, -1, *self.table.shape[1:])
        table = table.repeat(len(points) // self.groups, 1, 1, 1)
        found = F.grid_sample(table, apart.flip(-1), align_corners=True)
        return found.flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        query = self.query(x)
        points = self.points(query)
        parts = x.reshape(len(points), -1, height, width)
        sampled = F.grid_sample(parts, points.flip(-1), align_corners=True)
        sampled = sampled.reshape(batch, channels, 1, -1)
        q, k, v = (
            t.reshape(batch * self.heads, channels // self.heads, -1)
            for t in (query, self.key(sampled), self.value(sampled))
        )
        scores = q.mT @ k * q.shape[1] ** -0.5 + self.bias(points, height, width)
        mixed = v @ scores.softmax(-1).mT
        out: Tensor = self.out(mixed.reshape(x.shape))
        return out
