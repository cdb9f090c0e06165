"""Patch embeddings for any bands: a small network generates the kernel of each band.

Source: github:zhu-xlab/DOFA@1550cbe wave_dynamic_layer.py (there `swapped`); github:zhu-xlab/
Copernicus-FM@da95635 Copernicus-FM/src/dynamic_hypernetwork.py and aurora/fourier.py. The names of
the parts are those of the published files.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import in_float32

CODE = 128  # width of a band's code
TOKENS = 128  # learned tokens beside the codes
SCALE = 0.01  # of the generated weights and bias


def sincos_codes(places: Tensor, width: int) -> Tensor:
    """Sine-cosine codes of values, [N] -> [N, width], of decreasing frequency."""
    powers = torch.arange(width // 2, dtype=torch.float32, device=places.device) / (width / 2)
    angles = places[:, None] * (1 / 10000**powers)
    return torch.cat((angles.sin(), angles.cos()), -1)


def fourier_codes(x: Tensor, low: float, high: float, width: int) -> Tensor:
    """Sine-cosine codes of values, [N] -> [N, width], float32, computed in float64.

    The periods are logarithmically spaced from `low` to `high`.
    """
    lengths = torch.logspace(
        math.log10(low), math.log10(high), width // 2, dtype=torch.float64, device=x.device
    )
    angles = x.double()[:, None] * (2 * math.pi / lengths)
    return torch.cat((angles.sin(), angles.cos()), -1).float()


class ResidualMlp(nn.Module):
    """An MLP of two layers with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(CODE, CODE), nn.Linear(CODE, CODE)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.w2(F.relu(self.w1(x))))


class WeightGenerator(nn.Module):
    """Generates a kernel for each band, [C, CODE] -> [C, K], and one bias, [dim]."""

    def __init__(self, dim: int, numbers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(CODE, 4, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(CODE, numbers)
        self.fc_bias = nn.Linear(CODE, dim)
        self.weight_tokens = nn.Parameter(nn.init.normal_(torch.empty(TOKENS, CODE), std=0.02))
        self.bias_token = nn.Parameter(nn.init.normal_(torch.empty(1, CODE), std=0.02))

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.cat((self.weight_tokens, codes, self.bias_token))
        found = self.transformer_encoder(tokens)
        return self.fc_weight(found[TOKENS:-1] + codes), self.fc_bias(found[-1])


class DynamicPatches(nn.Module):
    """Embeds images [B, C, H, W] with band codes [C, CODE] to patches [B, dim, h, w].

    h, w: H / patch, W / patch; images are padded by one pixel. swapped: read the generated
    weights in the order of a convolution's weight, which mixes those of different bands, instead
    of band by band.
    """

    def __init__(self, dim: int, patch: int, swapped: bool = False) -> None:
        super().__init__()
        self.dim, self.patch, self.swapped = dim, patch, swapped
        self.weight_generator = WeightGenerator(dim, patch * patch * dim)
        self.fclayer = ResidualMlp()

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        return F.conv2d(images, *self.kernels(codes), stride=self.patch, padding=1)

    @in_float32
    def kernels(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels [dim, C, patch, patch] and bias [dim] for band codes [C, CODE]."""
        numbers, bias = self.weight_generator(self.fclayer(codes))
        if self.swapped:
            weight = numbers.view(self.dim, len(codes), self.patch, self.patch)
        else:
            weight = numbers.view(len(codes), self.patch, self.patch, self.dim).permute(3, 0, 1, 2)
        return SCALE * weight, SCALE * bias
