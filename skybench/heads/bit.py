"""The bitemporal image transformer (BIT), a change-detection head on two dates' feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.heads.decoders import Levels, SafeBatchNorm2d

STRIDE = 16  # of the level that is read
TOKENS = 4  # of each date
ENCODER, DECODER = 1, 8  # transformer blocks
HEADS, HEAD_WIDTH = 8, 64  # of attention, so that its width is 512 whatever the tokens'


class Attention(nn.Module):
    """Multi-head attention of queries to a memory, wider than both.

    Dot products are scaled by the width of the tokens, not of a head, as in the source.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.scale = width**-0.5

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """x: [B, N, C], memory: [B, M, C]; returns [B, N, C]."""
        parts = ((self.query, x), (self.key, memory), (self.value, memory))
        q, k, v = (f(y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f, y in parts)
        seen = F.scaled_dot_product_attention(q, k, v, scale=self.scale)  # [B, heads, N, d]
        mixed: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return mixed


class AttentionBlock(nn.Module):
    """A transformer block with normalisation before attention and before two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x), self.norm(memory))
        grown: Tensor = x + self.mlp(x)
        return grown


class BIT(nn.Module):
    """BIT: both dates' maps as a few tokens, which attend to each other, and pixels to them.

    Of a pyramid one level is used, that of the stride nearest to 16: the third of four stages of a
    Swin, the only one of a plain ViT. Upsampled by 2, 3x3 convolution to `width` channels; 4 tokens
    of each date; an encoder block over both dates' tokens, 8 decoder blocks in which pixels attend
    to their own date's; |first - second|, upsampled by 2 and by 4, two 3x3 convolutions.
    Source: Chen et al. 2021 (arXiv 2103.00306), with transformer backbones as in
    NJU-LHRS/official-CMID@3c343db ChangeDetection/models/networks.py:245-420 and
    ViTAE-Transformer/ViTAE-Transformer-Remote-Sensing@1b10162 Change Detection/utils/helpers.py
    load_model (4 tokens, depths 1 and 8, learned positions; width 32).
    """

    def __init__(self, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        strides = [stride for _, stride in levels]
        self.level = min(range(len(levels)), key=lambda i: abs(strides[i] - STRIDE))
        self.reduce = nn.Conv2d(levels[self.level][0], width, 3, padding=1)
        self.tokenise = nn.Conv2d(width, TOKENS, 1, bias=False)
        self.position = nn.Parameter(torch.randn(1, 2 * TOKENS, width))
        self.encoder = nn.ModuleList(AttentionBlock(width) for _ in range(ENCODER))
        self.decoder = nn.ModuleList(AttentionBlock(width) for _ in range(DECODER))
        self.classify = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            SafeBatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, classes, 3, padding=1),
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """levels: each [B, 2, C, h, w]; returns one map [B, K, 16 h, 16 w] of the level's size."""
        chosen = levels[self.level]
        maps = self.reduce(F.interpolate(chosen.flatten(0, 1), scale_factor=2.0))
        pixels = maps.flatten(2).transpose(1, 2)  # [B * 2, N, width]
        tokens = self.tokenise(maps).flatten(2).softmax(-1) @ pixels
        both = tokens.reshape(len(chosen), -1, tokens.shape[-1]) + self.position
        for block in self.encoder:
            both = block(both, both)
        memory = both.reshape(tokens.shape)
        for block in self.decoder:
            pixels = block(pixels, memory)
        seen = pixels.transpose(1, 2).reshape(len(chosen), 2, *maps.shape[1:])
        change = F.interpolate((seen[:, 0] - seen[:, 1]).abs(), scale_factor=2.0)
        large = F.interpolate(change, scale_factor=4.0, mode="bilinear", align_corners=True)
        return [self.classify(large)]
