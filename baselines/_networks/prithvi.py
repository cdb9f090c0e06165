"""Prithvi's encoder: a transformer over patches of several dates, with 3-D sine-cosine codes.

Source: Jakubik et al., arXiv:2310.18660; Szwarcman et al., arXiv:2412.02732;
github:IBM/terratorch@85467a9 terratorch/models/backbones/prithvi_mae.py (other sizes:
terrastackai/terratorch@f111497), read for the facts.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

BANDS = 6


def sincos_codes(positions: Tensor, size: int) -> Tensor:
    """Sine-cosine codes of positions, [...] -> [..., size], computed in their dtype."""
    steps = torch.arange(size // 2, dtype=positions.dtype, device=positions.device)
    angles = positions[..., None] * (1.0 / 10000 ** (steps / (size / 2)))
    return torch.cat((angles.sin(), angles.cos()), -1)


def grid_codes(dates: int, rows: int, columns: int, size: int) -> Tensor:
    """Positional embedding of class token (zeros) and patches by date, [1, 1 + T * h * w, size].

    Of every 16 channels 6 encode the column, 6 the row and 4 the date.
    """
    grid = (dates, rows, columns)
    widths = (size // 16 * 4, size // 16 * 6, size // 16 * 6)
    codes = []
    for axis, (count, width) in enumerate(zip(grid, widths, strict=True)):
        code = sincos_codes(torch.arange(count, dtype=torch.float64), width)
        shape = [count if i == axis else 1 for i in range(3)]
        codes.append(code.view(*shape, width).expand(*grid, width))
    patches = torch.cat(codes[::-1], -1).flatten(0, 2)
    return F.pad(patches, (0, 0, 1, 0)).float()[None]


class CoordinateEncoder(nn.Module):
    """Codes of two coordinates with a learned scale, [..., 2] -> [..., D]; 0 for NaN."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.width = dim // 2
        self.scale = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, numbers: Tensor) -> Tensor:
        codes = sincos_codes(numbers, self.width).flatten(-2)
        return self.scale * codes.nan_to_num(0.0)


class Prithvi(nn.Module):
    """The encoder, with its parameters under the published names.

    stored: dates and patches per side of the stored positional embedding.
    located: read the time of each date and the location.
    """

    def __init__(
        self, stored: tuple[int, int], patch: int, dim: int, depth: int, heads: int, located: bool
    ) -> None:
        super().__init__()
        self.stored, self.patch = stored, patch
        kernel = (1, patch, patch)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(BANDS, dim, kernel, kernel)})
        if located:
            self.temporal_embed_enc = CoordinateEncoder(dim)
            self.location_embed_enc = CoordinateEncoder(dim)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        dates, side = stored
        self.pos_embed: Tensor
        self.register_buffer("pos_embed", grid_codes(dates, side, side, dim))
        self.blocks = nn.ModuleList(
            Block(dim, heads, qkv_bias=True, norm_layer=nn.LayerNorm) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.apply(_init_weights)

    def grid(self, dates: int, rows: int, columns: int) -> Tensor:
        """Positional embedding of a grid of patches, [1, 1 + T * h * w, D].

        Computed for another number of dates, interpolated for another size, as the authors do.
        """
        stored, side = self.stored
        table = self.pos_embed
        if dates != stored:
            table = grid_codes(dates, side, side, table.shape[-1]).to(table)
        if (rows, columns) == (side, side):
            return table
        maps = table[0, 1:].view(dates, side, side, -1).movedim(-1, 1)
        resized = F.interpolate(maps, (rows, columns), mode="bicubic", align_corners=True)
        return torch.cat((table[:, :1], resized.movedim(1, -1).reshape(1, -1, table.shape[-1])), 1)

    def tokens(
        self, images: Tensor, when: Tensor | None = None, where: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield the tokens after each block, [B, 1 + T * h * w, D]: class token, then date by date.

        images: normalised, [B, 6, T, H, W]. when: year and day of the year, from 1, of each date,
        [B, T, 2]. where: latitude and longitude in degrees, [B, 2]. Float; NaN where unknown.
        """
        patches = self.patch_embed["proj"](images)  # [B, D, T, h, w]
        codes = self.grid(*patches.shape[-3:])
        x = patches.flatten(2).mT + codes[:, 1:]
        if when is not None:
            time = self.temporal_embed_enc(when)
            x = x + time.repeat_interleave(x.shape[1] // when.shape[1], 1)
        if where is not None:
            x = x + self.location_embed_enc(where)[:, None]
        first = self.cls_token + codes[:, :1]
        x = torch.cat((first.expand(len(x), -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
            yield x


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Conv3d):
        nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
