"""The adapter of Scale-MAE."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.core import ModelCard

from .._families.resnet import IMAGENET
from .._families.vit import ViTArch
from .vit import ViT


class ScaleMAE(ViT):
    """A ViT whose positional embedding is computed from the ground sampling distance.

    gsd: metres per pixel of all images. The buffer `gsd` may also hold one value per image.
    """

    gsd: Tensor  # [1] or [B]

    def __init__(self, card: ModelCard, arch: ViTArch, gsd: float) -> None:
        super().__init__(card, arch, {"hr": IMAGENET})
        self.net.pos_embed = None
        self.register_buffer("gsd", torch.tensor([gsd]), persistent=False)

    def positions(self, height: int, width: int) -> Tensor:
        """Positional embedding, [1 or B, 1 + height * width, C]; zeros for the class token."""
        codes = gsd_positions(height, width, self.net.embed_dim, self.gsd)
        return torch.cat((torch.zeros_like(codes[:, :1]), codes), 1)


def gsd_positions(height: int, width: int, dim: int, gsd: Tensor) -> Tensor:
    """Positional embedding of a grid, row by row, [B, height * width, dim].

    The column, then the row, counted from 0 and times gsd [B], each as dim / 4 sines and dim / 4
    cosines of falling frequency.
    Source: github:bair-climate-initiative/scale-mae@89280d8 mae/util/pos_embed.py,
    get_2d_sincos_pos_embed_with_resolution, which handles squares only.
    """
    powers = torch.arange(dim // 4, device=gsd.device) / (dim // 4)
    rows = torch.arange(height, device=gsd.device).repeat_interleave(width)
    columns = torch.arange(width, device=gsd.device).repeat(height)
    places = torch.stack((columns, rows), -1) * gsd[:, None, None]  # [B, height * width, 2]
    angles = places[..., None] / 10000**powers
    return torch.cat((angles.sin(), angles.cos()), -1).flatten(2)
