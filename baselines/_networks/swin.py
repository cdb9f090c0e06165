"""Swin Transformer (V1) as the official code, old mmcls, mmsegmentation and RingMo have it.

Keys are the official code's; the norms of the stages' outputs are `norms.i`. Merging reads a 2 x 2
square as there: column by column, all channels of a pixel together. mm's order, (channel, row,
column), is a matter of conversion, as are separate queries, keys and values.
Source: Liu et al. 2021 (arXiv:2103.14030); github:mmendiet/GFM@4dd248e models/swin_transformer.py
(the official code), github:NJU-LHRS/official-CMID@6e1de74 Pretrain/models/swin_transformer.py
(mmcls), mmsegmentation 0.30.0, github:comeony/RingMo@9078d16
ringmo_framework/models/backbone/swin_transformer.py.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_float32
from .windows import attention, shifted_windows

PATCH = 4


@dataclass(frozen=True)
class SwinOptions:
    """Differences between implementations; the defaults are official, with OpenMMLab's norms."""

    norms: tuple[int, ...] = (0, 1, 2, 3)  # stages whose output is normed; the others' is raw
    # Roll also maps no larger than a window, as mmseg does; the others leave them.
    shift_small: bool = False
    eps: float = 1e-5  # of layer norms
    merge_eps: float = 1e-5  # of the layer norms in patch merging
    gelu: Literal["none", "tanh"] = "none"  # "tanh": the approximation
    pi_conv: bool = False  # RingMo's stem of three convolutions


def geometric_ratio(terms: int, reach: int) -> float:
    """The q between 1.01 and 1.5 with 1 + q + … + q^(terms - 1) = reach, by bisection to 1e-6.

    >>> round(geometric_ratio(5, 7), 4)
    1.169
    """
    low, q, high = 1.01, 1.01, 1.5
    while high - low > 1e-6:
        q = (low + high) / 2
        if sum(q**i for i in range(terms)) > reach:
            high = q
        else:
            low = q
    return q


def spline_matrix(nodes: Tensor, at: Tensor) -> Tensor:
    """Matrix of cubic spline interpolation, [M, N], from N nodes to M points, float64, ascending.

    Not-a-knot at the second and the last but one node; constant beyond the ends (as in FITPACK).
    """
    knots = nodes[2:-2]

    def basis(x: Tensor) -> Tensor:
        powers = x[:, None] ** torch.arange(min(4, len(nodes)))
        return torch.cat((powers, (x[:, None] - knots).clamp(min=0) ** 3), 1)

    return basis(at.clamp(nodes[0], nodes[-1])) @ basis(nodes).inverse()


@functools.lru_cache(maxsize=64)
def table_resizer(window: int, wanted: int, device: torch.device) -> Tensor:
    """Matrix that resizes an axis of a relative position table, [2 wanted - 1, 2 window - 1].

    The old offsets are placed at the sums of a geometric progression that reaches the new range, so
    that near offsets keep their positions.
    Source: github:mmendiet/GFM@4dd248e utils.py `remap_pretrained_keys_swin`.
    """
    # Built outside inference mode, as below: the cached tensor is used in training as well.
    with torch.inference_mode(False):
        q = geometric_ratio(window - 1, wanted - 1)
        ahead = (q ** torch.arange(window - 1, dtype=torch.float64)).cumsum(0)
        nodes = torch.cat((-ahead.flip(0), torch.zeros(1, dtype=torch.float64), ahead))
        return spline_matrix(nodes, torch.arange(1.0 - wanted, wanted).double()).float().to(device)


@functools.lru_cache(maxsize=64)
def relative_index(window: int, device: torch.device) -> Tensor:
    """Row of the table for each pair (query, key) of a window, int64 [window², window²]."""
    with torch.inference_mode(False):
        side = torch.arange(window, device=device)
        at = torch.cartesian_prod(side, side)
        offset = at[:, None] - at[None] + window - 1
        return offset[..., 0] * (2 * window - 1) + offset[..., 1]


@in_float32
def _resized(table: Tensor, to: Tensor) -> Tensor:
    """Resize both axes of a table [n * n, heads] by a matrix [m, n], to [m * m, heads]."""
    square = table.view(to.shape[1], to.shape[1], -1)
    return torch.einsum("ai,bj,ijh->abh", to, to, square).flatten(0, 1)


class WindowAttention(nn.Module):
    """Window attention with a learned bias per offset."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def bias(self, window: int) -> Tensor:
        """Relative position bias, [heads, window², window²]; interpolated for another window."""
        table: Tensor = self.relative_position_bias_table
        if window != self.window:
            to = table_resizer(self.window, window, table.device)
            table = _resized(table, to)
        return table[relative_index(window, table.device)].permute(2, 0, 1)

    def forward(self, x: Tensor, window: int, mask: Tensor | None) -> Tensor:
        """x: [B, windows, window², C]; mask: [windows, window², window²]; returns x's shape."""
        qkv = self.qkv(x).view(*x.shape[:3], 3, self.heads, -1)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)  # 3 x [B, windows, heads, window², C / heads]
        projected: Tensor = self.proj(attention((q, k, v), self.bias(window), mask))
        return projected


def mlp(dim: int, gelu: str) -> nn.Sequential:
    """Build an MLP of two linear layers with a GELU between them."""
    fc1, fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
    return nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU(gelu), fc2=fc2))


class Block(nn.Module):
    """A pre-norm block of window attention and an MLP."""

    def __init__(self, dim: int, heads: int, window: int, shifted: bool, form: SwinOptions) -> None:
        super().__init__()
        self.shifted, self.shift_small = shifted, form.shift_small
        self.norm1 = nn.LayerNorm(dim, form.eps)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim, form.eps)
        self.mlp = mlp(dim, form.gelu)
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()

    def attend(self, x: Tensor, window: int) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        shifted = self.shifted and (self.shift_small or min(x.shape[1:3]) > window)
        return shifted_windows(x, window, shifted, lambda x, mask: self.attn(x, window, mask))

    def forward(self, x: Tensor, window: int) -> Tensor:
        x = x + self.drop_path1(self.attend(self.norm1(x), window))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class PatchEmbed(nn.Module):
    """[B, 3, H, W] -> [B, H / 4, W / 4, D], zero-padded at the right and bottom if need be."""

    def __init__(self, dim: int, form: SwinOptions) -> None:
        super().__init__()
        self.proj = pi_conv(dim, form.gelu) if form.pi_conv else nn.Conv2d(3, dim, PATCH, PATCH)
        self.norm = nn.LayerNorm(dim, form.eps)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[-1] % PATCH, 0, -x.shape[-2] % PATCH))
        normed: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return normed


def pi_conv(dim: int, gelu: str) -> nn.Sequential:
    """Build RingMo's stem: convolutions with kernel and stride 2, 2 and 1."""
    quarter = dim // 4
    return nn.Sequential(
        nn.Conv2d(3, quarter, 2, 2), nn.BatchNorm2d(quarter), nn.GELU(gelu),
        nn.Conv2d(quarter, quarter, 2, 2), nn.BatchNorm2d(quarter), nn.GELU(gelu),
        nn.Conv2d(quarter, dim, 1), nn.BatchNorm2d(dim),
    )  # fmt: skip


class PatchMerging(nn.Module):
    """[B, H, W, C] -> [B, H / 2, W / 2, 2C], zero-padded to even sides."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        squares = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
        merged: Tensor = self.reduction(self.norm(squares.permute(0, 1, 3, 4, 2, 5).flatten(3)))
        return merged


class Stage(nn.Module):
    """Blocks with alternately shifted windows, then patch merging except in the last stage."""

    def __init__(self, blocks: Sequence[Block], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class Swin(nn.Module):
    """Four stages at strides 4, 8, 16, 32 with `embed_dim` x 1, 2, 4, 8 channels.

    window: window size of each stage and of its relative position table.
    """

    def __init__(
        self,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window: Sequence[int] = (7, 7, 7, 7),
        form: SwinOptions = SwinOptions(),
    ) -> None:
        super().__init__()
        self.window = tuple(window)
        self.patch_embed = PatchEmbed(embed_dim, form)
        stages = []
        for i, (depth, heads, side) in enumerate(zip(depths, num_heads, window, strict=True)):
            dim, last = embed_dim << i, i == len(depths) - 1
            blocks = [Block(dim, heads, side, j % 2 == 1, form) for j in range(depth)]
            stages.append(Stage(blocks, None if last else PatchMerging(dim, form.merge_eps)))
        self.layers = nn.ModuleList(stages)
        normed = {str(i): nn.LayerNorm(embed_dim << i, form.eps) for i in form.norms}
        self.norms = nn.ModuleDict(normed)

    def forward(self, x: Tensor, window: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """[B, 3, H, W] -> maps [B, C_i, H / stride_i, W / stride_i], rounded up, before merging.

        window: window sizes other than the stored ones, for which the tables are interpolated.
        """
        x = self.patch_embed(x)
        maps = []
        for i, (stage, side) in enumerate(zip(self.layers, window or self.window, strict=True)):
            assert isinstance(stage, Stage)
            for block in stage.blocks:
                x = block(x, side)
            normed = self.norms[str(i)](x) if str(i) in self.norms else x
            maps.append(normed.permute(0, 3, 1, 2))
            x = x if stage.downsample is None else stage.downsample(x)
        return tuple(maps)

    def layer_groups(self) -> list[nn.Module]:
        """The stem, then block by block; patch merging belongs to the block before it."""
        found: list[nn.Module] = [self.patch_embed]
        for stage in self.layers:
            assert isinstance(stage, Stage)
            *rest, last = stage.blocks
            merging = [] if stage.downsample is None else [stage.downsample]
            found += [*rest, nn.ModuleList([last, *merging])]
        return found
