"""RVSA: a plain ViT whose attention windows are shifted, scaled and rotated by prediction.

Every `interval`-th block has global attention, the others such windows. In the ViTAE form, every
block has a convolution branch parallel to its attention.

Parts have the names of the published files. Source: Wang et al., arXiv:2208.03987;
github:ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7 MAEPretrain_SceneClassification/*_win_rvsa*.py
and "Semantic Segmentation"/mmseg/models/backbones/*_win_rvsa_v3*_wsz7.py; SAMRS@868c99a and
MTP@13cc2b7 of the same owner, backbone/vit_win_rvsa_v3_wsz7.py; read for the facts below.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import CannotRun

from .._families.rvsa import RVSAArch as RVSAArch
from .rvsa_attention import WINDOW, Attention, Size, WindowAttention

PATCH = 16


class RVSAOutput(NamedTuple):
    """Output of the network."""

    tokens: Tensor  # of the last block, not normed: [B, h * w, dim], a class token before them
    # Without `taken` the last block's map, [B, dim, h, w]; else four at strides 4, 8, 16 and 32.
    levels: tuple[Tensor, ...]


class Block(nn.Module):
    """A pre-norm transformer block, in ViTAE with convolutions parallel to the attention."""

    def __init__(self, settings: RVSAArch, everywhere: bool) -> None:
        super().__init__()
        s = settings
        side = s.grid if s.relative else 0
        self.norm1 = nn.LayerNorm(s.dim, eps=1e-6)
        self.attn = (
            Attention(s.dim, s.heads, s.bias, side)
            if everywhere
            else WindowAttention(s.dim, s.heads, s.bias, s.separate)
        )
        self.norm2 = nn.LayerNorm(s.dim, eps=1e-6)
        self.mlp = Mlp(s.dim, 4 * s.dim)
        groups = s.dim // 4
        self.PCM = nn.Sequential(
            nn.Conv2d(s.dim, 4 * s.dim, 3, padding=1, groups=groups),
            nn.BatchNorm2d(4 * s.dim),
            nn.SiLU(),
            nn.Conv2d(4 * s.dim, s.dim, 3, padding=1, groups=groups),
        ) if s.parallel else None  # fmt: skip
        self.drop_path1, self.drop_path2 = nn.Identity(), nn.Identity()
        self.drop_path3 = nn.Identity() if s.parallel else None

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """[B, N, C] -> [B, N, C]; the convolutions leave the class token unchanged."""
        attended = x + self.drop_path1(self.attn(self.norm1(x), size))
        if self.PCM is not None and self.drop_path3 is not None:
            extra = x.shape[1] - size[0] * size[1]
            local = self.PCM(torch.unflatten(x[:, extra:].mT, 2, size)).flatten(2).mT
            attended = attended + self.drop_path3(F.pad(local, (0, 0, extra, 0)))
        out: Tensor = attended + self.drop_path2(self.mlp(self.norm2(attended)))
        return out


class Norm2d(nn.Module):
    """A layer norm over the channels of a map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normed


class RVSA(nn.Module):
    """The network; `norm` is left to the adapters, since some networks do not apply it."""

    def __init__(self, settings: RVSAArch) -> None:
        super().__init__()
        s = self.settings = settings
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, s.dim, PATCH, PATCH)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, s.dim)) if s.class_token else None
        table = torch.empty(1, s.grid**2 + s.class_token, s.dim)
        self.pos_embed = (
            nn.Parameter(nn.init.trunc_normal_(table, std=0.02)) if s.positions else None
        )
        self.blocks = nn.ModuleList(Block(s, (i + 1) % s.interval == 0) for i in range(s.depth))
        self.norm = nn.LayerNorm(s.dim, eps=1e-6)
        self.apply(_init_weights)
        if s.taken:
            up = nn.ConvTranspose2d(s.dim, s.dim, 2, 2), nn.ConvTranspose2d(s.dim, s.dim, 2, 2)
            self.fpn1 = nn.Sequential(up[0], Norm2d(s.dim), nn.GELU(), up[1])
            self.fpn2 = nn.Sequential(nn.ConvTranspose2d(s.dim, s.dim, 2, 2))

    def forward(self, images: Tensor) -> RVSAOutput:
        """images: [B, 3, H, W], normalised; H and W are multiples of 16.

        Raises CannotRun for images with fewer than 7 x 7 patches if the network has windows.
        """
        x = self.patch_embed["proj"](images)
        size = (x.shape[2], x.shape[3])
        if min(size) < WINDOW and self.settings.interval > 1:
            raise CannotRun(
                f"RVSA needs images of {WINDOW * PATCH} pixels a side or more, but got "
                f"{images.shape[2]} x {images.shape[3]}; enlarge them"
            )
        x = self.embed(x.flatten(2).mT, size)
        taken = self.settings.taken or (len(self.blocks) - 1,)
        maps = {}
        for index, block in enumerate(self.blocks):
            x = block(x, size)
            if index in taken:
                maps[index] = x[:, -size[0] * size[1] :].mT.unflatten(2, size)
        return RVSAOutput(x, self.levels([maps[index] for index in taken]))

    def embed(self, x: Tensor, size: Size) -> Tensor:
        """Add the positional embedding, resized to the grid, and prepend the class token."""
        first: Tensor | None = self.cls_token
        if self.pos_embed is not None:
            extra = self.pos_embed.shape[1] - self.settings.grid**2
            side = (self.settings.grid, self.settings.grid)
            table = self.pos_embed[:, extra:]
            if size != side:
                table = torch.unflatten(table.mT, 2, side)
                table = F.interpolate(table, size, mode="bicubic", align_corners=False)
                table = table.flatten(2).mT
            x = x + table
            first = None if first is None else first + self.pos_embed[:, :extra]
        return x if first is None else torch.cat((first.expand(len(x), -1, -1), x), 1)

    def levels(self, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """Build the feature pyramid from the maps of the taken blocks."""
        if len(maps) == 1:
            return (maps[0],)
        first, second, third, fourth = maps
        return self.fpn1(first), self.fpn2(second), third, F.max_pool2d(fourth, 2)

    def layer_groups(self) -> tuple[nn.Module, ...]:
        """Stem, then block by block, for layer-wise learning-rate decay."""
        tables = nn.ParameterList(p for p in (self.cls_token, self.pos_embed) if p is not None)
        return (nn.ModuleList((self.patch_embed, tables)), *self.blocks)


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
