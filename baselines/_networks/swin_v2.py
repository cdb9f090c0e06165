"""Swin Transformer V2 as SkySense's high-resolution branch uses it.

Source: github:Bili-Sakura/SkySense@107d4e0 models/swin_transformer_v2.py, which is mmcls 0.25.0's
`SwinTransformerV2` with changed defaults, read for the facts below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_float32
from .windows import cosine_attention, shifted_windows

WINDOW = 8
PATCH = 4
EXTRA_NORM = 6  # a further norm on the stream after every sixth block of a stage
HIDDEN = 512  # of the network that gives the position bias


def relative_coords() -> Tensor:
    """Log-spaced offsets within a window, [225, 2] in -1..1, rows (dh + 7) * 15 + dw + 7."""
    steps = torch.arange(1.0 - WINDOW, WINDOW) / (WINDOW - 1) * 8
    steps = steps.sign() * (steps.abs() + 1).log2() / math.log2(8)
    return torch.cartesian_prod(steps, steps)


def relative_index() -> Tensor:
    """Row of `relative_coords` for each pair (query, key) of a window, int64 [64, 64]."""
    side = torch.arange(WINDOW)
    at = torch.cartesian_prod(side, side)  # [64, 2]
    offset = at[:, None] - at[None] + WINDOW - 1
    return offset[..., 0] * (2 * WINDOW - 1) + offset[..., 1]


class WindowAttention(nn.Module):
    """Cosine window attention with a bias that an MLP gives per offset."""

    coords: Tensor
    index: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, heads, bias=False)
        )
        self.proj = nn.Linear(dim, dim)
        self.register_buffer("coords", relative_coords(), persistent=False)
        self.register_buffer("index", relative_index(), persistent=False)

    def bias(self) -> Tensor:
        """Relative position bias, [heads, 64, 64]."""
        return self._table(self.coords)[self.index].permute(2, 0, 1)

    @in_float32
    def _table(self, coords: Tensor) -> Tensor:
        table: Tensor = 16 * self.cpb_mlp(coords).sigmoid()  # [225, heads]
        return table

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: [B, windows, 64, C]; mask: [windows, 64, 64] or None; returns x's shape."""
        bias = torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias))
        qkv = F.linear(x, self.qkv.weight, bias).view(*x.shape[:3], 3, self.heads, -1)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)  # 3 x [B, windows, heads, 64, C / heads]
        out = cosine_attention((q, k, v), self.logit_scale, self.bias(), mask)
        projected: Tensor = self.proj(out)
        return projected


class Block(nn.Module):
    """A res-post-norm block of window attention and an MLP."""

    def __init__(self, dim: int, heads: int, shifted: bool, extra: bool) -> None:
        super().__init__()
        self.shifted = shifted
        self.attn = WindowAttention(dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim) if extra else None
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()

    def attend(self, x: Tensor, pad_small_map: bool) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        shifted = self.shifted and (pad_small_map or min(x.shape[1:3]) > WINDOW)
        return shifted_windows(x, WINDOW, shifted, self.attn)

    def forward(self, x: Tensor, pad_small_map: bool) -> Tensor:
        x = x + self.drop_path1(self.norm1(self.attend(x, pad_small_map)))
        x = x + self.drop_path2(self.norm2(self.ffn(x)))
        return x if self.norm3 is None else self.norm3(x)


class PatchEmbed(nn.Module):
    """[B, C, H, W] -> [B, H / 4, W / 4, D], zero-padded at the right and bottom if need be."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, dim, PATCH, PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[-1] % PATCH, 0, -x.shape[-2] % PATCH))
        normed: Tensor = self.norm(self.projection(x).permute(0, 2, 3, 1))
        return normed


class PatchMerging(nn.Module):
    """[B, H, W, C] -> [B, H / 2, W / 2, 2C], zero-padded to even sides; normed at the end."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        squares = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
        # nn.Unfold's column order: channel, then row, then column within the 2 x 2 square.
        columns = squares.permute(0, 1, 3, 5, 2, 4).flatten(3)
        normed: Tensor = self.norm(self.reduction(columns))
        return normed


class Stage(nn.Module):
    """Patch merging (except in the first stage), then blocks with alternately shifted windows."""

    def __init__(self, dim: int, heads: int, depth: int, first: bool) -> None:
        super().__init__()
        self.downsample = None if first else PatchMerging(dim // 2)
        self.blocks: nn.ModuleList = nn.ModuleList(
            Block(dim, heads, i % 2 == 1, (i + 1) % EXTRA_NORM == 0) for i in range(depth)
        )

    def forward(self, x: Tensor, pad_small_map: bool) -> Tensor:
        if self.downsample is not None:
            x = self.downsample(x)
        if min(x.shape[1:3]) < WINDOW and not pad_small_map:
            raise ValueError(
                f"A map of {x.shape[1]} x {x.shape[2]} is smaller than the window of {WINDOW}; "
                f"give images of at least {PATCH * WINDOW * 8} pixels, or build the network with "
                "pad_small_map=True"
            )
        for block in self.blocks:
            x = block(x, pad_small_map)
        return x


class SwinV2(nn.Module):
    """Four stages at strides 4, 8, 16, 32 with `embed_dims` x 1, 2, 4, 8 channels.

    pad_small_map: also shift and pad maps no larger than the window. The released network does
    not, so it needs 256 pixels on the short side.
    """

    def __init__(
        self,
        embed_dims: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        in_channels: int = 3,
        pad_small_map: bool = False,
    ) -> None:
        super().__init__()
        self.pad_small_map = pad_small_map
        self.patch_embed = PatchEmbed(in_channels, embed_dims)
        widths = [embed_dims * 2**i for i in range(len(depths))]
        self.stages = nn.ModuleList(
            Stage(width, heads, depth, i == 0)
            for i, (width, heads, depth) in enumerate(zip(widths, num_heads, depths, strict=True))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[B, C, H, W] -> normed maps [B, C_i, H / stride_i, W / stride_i], rounded up."""
        x = self.patch_embed(x)
        maps = []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x = stage(x, self.pad_small_map)
            maps.append(norm(x).permute(0, 3, 1, 2))
        return tuple(maps)

    def layer_groups(self) -> list[nn.Module]:
        """The stem, then block by block; patch merging belongs to the block after it."""
        parts: list[nn.Module] = [self.patch_embed]
        for stage in self.stages:
            assert isinstance(stage, Stage)
            first, *rest = stage.blocks
            merging = [] if stage.downsample is None else [stage.downsample]
            parts += [nn.ModuleList([*merging, first]), *rest]
        return parts
