"""ViTAEv2: stages of a reduction cell and normal cells, with convolutions parallel to attention.

Parts have the names of the paper (Zhang et al., arXiv:2202.10108) and of the published files: RC
and NC, the reduction and the normal cell; PRM, the pyramid of dilated convolutions that makes the
tokens of an RC; PCM, the convolutions parallel to attention.
Source: github:ViTAE-Transformer/RSP@f298187 "Scene Recognition"/models/ViTAE_Window_NoShift
(images of 224 pixels), and github:ViTAE-Transformer/SAMRS@868c99a "Pretraining and Finetuning"/
Encoder_Decoder/backbone/ViTAE_Window_NoShift (any square), read for the facts below. They differ
in padding only, which this network does for any map that needs it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

KERNELS = (7, 3, 3, 3)  # of the PRM, by stage, as the three below
DILATIONS = ((1, 2, 3, 4), (1, 2, 3), (1, 2), (1, 2))
STRIDES = (4, 2, 2, 2)
WINDOWED = (True, True, False, False)  # attention within windows, else over the whole map


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of one stage."""

    inputs: int  # channels of its map
    embed: int  # of each branch of the PRM and inside the PCM of the RC
    tokens: int  # channels of its tokens
    window: int  # side of attention's windows; 0: the whole map
    heads: tuple[int, int]  # of the RC and of an NC
    groups: tuple[int, int]  # of the convolutions of their PCMs


def convolutions(widths: Sequence[int], strides: Sequence[int], groups: int) -> nn.Sequential:
    """Build a PCM: 3 x 3 convolutions with batch normalisation and SiLU between them."""
    layers: list[nn.Module] = []
    for (before, after), stride in zip(itertools.pairwise(widths), strides, strict=True):
        if layers:
            layers += [nn.BatchNorm2d(before), nn.SiLU()]
        layers.append(nn.Conv2d(before, after, 3, stride, 1, groups=groups))
    return nn.Sequential(*layers)


class Attention(nn.Module):
    """Window or global attention without positional information.

    The published files hold a relative position table for windows, but the code never adds it.
    """

    def __init__(self, inputs: int, dim: int, heads: int, window: int, add_values: bool) -> None:
        super().__init__()
        self.heads, self.window, self.add_values = heads, window, add_values
        self.qkv = nn.Linear(inputs, 3 * dim, bias=not add_values)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, inputs] -> [B, H, W, dim]; windows are zero-padded, not masked."""
        batch, height, width, _ = x.shape
        if not self.window:
            return self.attend(x.flatten(1, 2)).view(batch, height, width, -1)
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        x = x.reshape(batch, rows, side, columns, side, -1).transpose(2, 3)
        x = self.attend(x.flatten(3, 4).flatten(0, 2))
        x = x.view(batch, rows, columns, side, side, -1).transpose(2, 3)
        return x.flatten(3, 4).flatten(1, 2)[:, :height, :width]

    def attend(self, x: Tensor) -> Tensor:
        """[N, tokens, inputs] -> [N, tokens, dim]."""
        qkv = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x [N, heads, tokens, dim / heads]
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out + v.transpose(1, 2).flatten(2) if self.add_values else out


class Pyramid(nn.Module):
    """PRM: parallel dilated convolutions, concatenated over channels."""

    def __init__(self, inputs: int, embed: int, stage: int) -> None:
        super().__init__()
        kernel, stride = KERNELS[stage], STRIDES[stage]
        self.convs = nn.ModuleList()
        for dilation in DILATIONS[stage]:
            padding = ((kernel - 1) * dilation + 2 - stride) // 2  # all branches get one size
            conv = nn.Conv2d(inputs, embed, kernel, stride, padding, dilation)
            self.convs.append(nn.Sequential(conv, nn.GELU()))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([conv(x) for conv in self.convs], 1)


class TokenTransformer(nn.Module):
    """The attention and MLP of a reduction cell, which change the number of channels."""

    def __init__(self, inputs: int, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(inputs)  # eps 1e-5, unlike in normal cells
        self.attn = Attention(inputs, dim, heads, window, add_values=not window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, dim)

    def forward(self, x: Tensor, local: Tensor) -> Tensor:
        """x: [B, H, W, inputs]; local: output of the PCM, [B, H, W, dim]; returns local's shape."""
        x = self.attn(self.norm1(x)) + local
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ReductionCell(nn.Module):
    """RC: reduces a map [B, C, H, W] to [B, h, w, D]."""

    def __init__(self, sizes: Sizes, stage: int) -> None:
        super().__init__()
        strides = (2, STRIDES[stage] // 2, 1)
        self.PCM = convolutions(
            (sizes.inputs, sizes.embed, sizes.embed, sizes.tokens), strides, sizes.groups[0]
        )
        self.PRM = Pyramid(sizes.inputs, sizes.embed, stage)
        branches = len(DILATIONS[stage]) * sizes.embed
        self.attn = TokenTransformer(branches, sizes.tokens, sizes.heads[0], sizes.window)

    def forward(self, x: Tensor) -> Tensor:
        tokens, local = (part(x).permute(0, 2, 3, 1) for part in (self.PRM, self.PCM))
        reduced: Tensor = self.attn(tokens, local)
        return reduced


class NormalCell(nn.Module):
    """NC: [B, H, W, D] -> [B, H, W, D]; its PCM reads the tokens before the norm.

    As in the official code, drop path is in normal cells only.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        dim = sizes.tokens
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim, sizes.heads[1], sizes.window, add_values=False)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.PCM = convolutions((dim, 4 * dim, dim, dim), (1, 1, 1), sizes.groups[1])
        self.drop_path1, self.drop_path2, self.drop_path3 = (nn.Identity() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        local = self.PCM(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.drop_path1(self.attn(self.norm1(x))) + self.drop_path3(local)
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class Stage(nn.Module):
    """A reduction cell, then normal cells, [B, C, H, W] -> [B, D, h, w]."""

    def __init__(self, sizes: Sizes, stage: int, depth: int) -> None:
        super().__init__()
        self.RC = ReductionCell(sizes, stage)
        self.NC = nn.Sequential(*(NormalCell(sizes) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.NC(self.RC(x))
        return tokens.permute(0, 3, 1, 2)


class ViTAEv2(nn.Module):
    """Four stages at strides 4, 8, 16 and 32; without class token, positions and last norm.

    heads, groups: of the reduction cells and of the normal cells; all arguments are by stage.
    """

    def __init__(
        self,
        embed_dims: Sequence[int],
        token_dims: Sequence[int],
        depths: Sequence[int],
        heads: tuple[Sequence[int], Sequence[int]],
        groups: tuple[Sequence[int], Sequence[int]],
        window: int,
    ) -> None:
        super().__init__()
        inputs = (3, *token_dims)
        stages = []
        for i, windowed in enumerate(WINDOWED):
            sizes = Sizes(
                inputs[i],
                embed_dims[i],
                token_dims[i],
                window if windowed else 0,
                (heads[0][i], heads[1][i]),
                (groups[0][i], groups[1][i]),
            )
            stages.append(Stage(sizes, i, depths[i]))
        self.layers = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W], sides multiples of 32 -> maps [B, D_i, H / stride_i, W / stride_i]."""
        maps = []
        for stage in self.layers:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def layer_groups(self) -> list[nn.Module]:
        """Cell by cell, for layer-wise learning-rate decay."""
        found: list[nn.Module] = []
        for stage in self.layers:
            assert isinstance(stage, Stage)
            found += [stage.RC, *stage.NC]
        return found
