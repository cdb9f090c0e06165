"""Clay's encoder: a transformer on patches whose kernels follow from the bands' wavelengths.

Source: github:Clay-foundation/model@a5790ce claymodel/model.py, factory.py (kernels), backbone.py
(transformer), utils.py (positions), read for the facts. The names of most parts are those of the
published file.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._families.constants import constant
from .dynamic import CODE, WeightGenerator
from .precision import in_float32
from .residual import ResidualBranches

ABOUT = 8  # last channels of the positional embedding: time and location
SCALE = 0.02  # of the generated kernels, not of the bias


def _exponents(count: int, like: Tensor) -> Tensor:
    """`count` evenly spaced exponents from 0 to 1, for the frequencies of a code."""
    return torch.arange(count, device=like.device) / (count - 1)


def wave_codes(waves: Tensor) -> Tensor:
    """Sine-cosine codes of wavelengths in micrometres, [C] -> [C, CODE]."""
    angles = waves[:, None] * (1.0 / 10000 ** _exponents(CODE // 2, waves))
    return torch.cat((angles.sin(), angles.cos()), 1)


def grid_codes(rows: int, columns: int, width: int, gsd: float, like: Tensor) -> Tensor:
    """Positional embedding of a grid, row by row, [rows * columns, width].

    The first half encodes the column, the second the row, in patches times `gsd`, metres per pixel.
    """
    steps = (1.0 / 10000 ** (2 * _exponents(width // 4, like) / width)) * gsd
    places = torch.arange(rows * columns, device=like.device)
    codes = []
    for place in (places % columns, places // columns):
        angles = place[:, None] * steps
        codes += [angles.sin(), angles.cos()]
    return torch.cat(codes, 1)


class Patches(nn.Module):
    """Images [B, C, H, W] and wavelengths [C] in micrometres -> patches [B, D, h, w]."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.dim, self.patch = dim, patch
        self.weight_generator = WeightGenerator(dim, patch * patch * dim)
        self.fclayer = nn.ModuleDict({name: nn.Linear(CODE, CODE) for name in ("l1", "l2")})

    def forward(self, images: Tensor, waves: Sequence[float]) -> Tensor:
        return F.conv2d(images, *self.kernels(constant(waves, images)), stride=self.patch)

    @in_float32
    def kernels(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels [dim, C, patch, patch] and bias [dim] for wavelengths [C]."""
        codes = wave_codes(waves)
        hidden = F.gelu(self.fclayer["l1"](codes))
        numbers, bias = self.weight_generator(codes + F.gelu(self.fclayer["l2"](hidden)))
        kernels = numbers.unflatten(1, (self.dim, self.patch, self.patch)).transpose(0, 1)
        return SCALE * kernels, bias


class Attention(nn.Module):
    """Pre-norm self-attention without biases."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        out = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
        mixed: Tensor = self.to_out(out.transpose(1, 2).flatten(2))
        return mixed


class Clay(nn.Module):
    """The encoder."""

    def __init__(self, patch: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.patch_embedding = Patches(dim, patch)
        self.layers = nn.ModuleList(
            ResidualBranches(
                Attention(dim, heads),
                nn.Sequential(
                    nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
                ),
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, images: Tensor, waves: Sequence[float], gsd: float, about: Tensor | None = None
    ) -> Tensor:
        """Return the normed class token, then the patch tokens row by row, [B, 1 + h * w, D].

        images: normalised, [B, C, H, W]. waves: micrometres of each channel. gsd: metres per pixel.
        about: sine and cosine of week, hour, latitude and longitude, [B, 8]; None if unknown.
        """
        patches = self.patch_embedding(images, waves)
        dim, rows, columns = patches.shape[1:]
        codes = grid_codes(rows, columns, dim - ABOUT, gsd, patches)
        if about is None:
            about = images.new_zeros(len(images), ABOUT)
        known = about[:, None].expand(-1, len(codes), -1)
        x = patches.flatten(2).mT + torch.cat((codes.expand(len(known), -1, -1), known), 2)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.norm(x)
        return out
