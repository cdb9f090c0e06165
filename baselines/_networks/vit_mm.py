"""The Vision Transformer of mmsegmentation, as SkySense's Sentinel branches use it.

Pre-norm blocks, a class token, learned positions, no final norm, patches of 4 pixels.
Source: github:Bili-Sakura/SkySense@107d4e0 models/vision_transformer.py (the official upload,
5ec7e33), read for the facts.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._families.skysense import Positions

PATCH = 4
EPS = 1e-5  # of the layer norms, in the official models/


class Attention(nn.Module):
    """Self-attention; q, k and v come from one projection, as in nn.MultiheadAttention."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """x: [B, N, C]; seen: bool [B, N], False for masked tokens; None: no mask."""
        qkv = self.in_proj(x).view(*x.shape[:2], 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x [B, heads, N, C / heads]
        mask = None if seen is None else seen[:, None, None]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        projected: Tensor = self.out_proj(out.transpose(1, 2).reshape(x.shape))
        return projected


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, eps: float = EPS) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(dim, eps)
        self.attn = Attention(dim, heads)
        self.ln2 = nn.LayerNorm(dim, eps)
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        x = x + self.drop_path1(self.attn(self.ln1(x), seen))
        out: Tensor = x + self.drop_path2(self.ffn(self.ln2(x)))
        return out


class ViT(nn.Module):
    """[B, bands, H, W] -> the tokens after the last block, [B, dim, H / 4, W / 4], rounded up."""

    def __init__(
        self, bands: int, dim: int, depth: int, heads: int, stored: Positions, eps: float = EPS
    ) -> None:
        super().__init__()
        self.grid, self.first = stored.grid, int(stored.class_token)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if stored.class_token else None
        self.pos_embed = nn.Parameter(torch.zeros(1, self.first + stored.grid**2, dim))
        conv = nn.Conv2d(bands, dim, PATCH, PATCH)
        self.patch_embed = nn.Sequential(OrderedDict(projection=conv))
        self.layers = nn.ModuleList(Block(dim, heads, eps) for _ in range(depth))
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, -x.shape[-1] % PATCH, 0, -x.shape[-2] % PATCH))
        patches = self.patch_embed(x)  # [B, C, h, w]
        batch, _, height, width = patches.shape
        tokens: Tensor = patches.flatten(2).mT
        if self.cls_token is not None:
            tokens = torch.cat((self.cls_token.expand(batch, -1, -1), tokens), 1)
        tokens = tokens + self.positions(height, width)
        for block in self.layers:
            tokens = block(tokens)
        return tokens[:, self.first :].mT.reshape(batch, -1, height, width)

    def positions(self, height: int, width: int) -> Tensor:
        """Positional embedding, [1, N, C]: the class token, if there is one, then row by row."""
        if (height, width) == (self.grid, self.grid):
            return self.pos_embed
        first, rest = self.pos_embed.tensor_split([self.first], 1)
        stored = rest.mT.reshape(1, -1, self.grid, self.grid)
        resized = F.interpolate(stored, (height, width), mode="bicubic", align_corners=False)
        return torch.cat((first, resized.flatten(2).mT), 1)

    def layer_groups(self) -> list[nn.Module]:
        """The stem, then block by block, for layer-wise learning-rate decay."""
        tables = [x for x in (self.cls_token, self.pos_embed) if x is not None]
        stem = [self.patch_embed, nn.ParameterList(tables)]
        return [nn.ModuleList(stem), *self.layers]
