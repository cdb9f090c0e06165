"""The adapter of Scale-MAE."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.core import ModelCard

from .._families.resnet import IMAGENET
from .._families.vit import Arch
from .vit import ViT


class ScaleMAE(ViT):
    """A ViT whose positions are computed, from the size of a pixel on the ground.

    gsd: of all images. The buffer of that name may also hold one for each image of a batch.
    """

    gsd: Tensor  # [1] or [B]

    def __init__(self, card: ModelCard, arch: Arch, gsd: float) -> None:
        super().__init__(card, arch, {"hr": IMAGENET})
        self.net.pos_embed = None
        self.register_buffer("gsd", torch.tensor([gsd]), persistent=False)

    def positions(self, height: int, width: int) -> Tensor:
        """[1 or B, 1 + height * width, C]; nothing is added to the class token."""
        codes = grid(height, width, self.net.embed_dim, self.gsd)
        return torch.cat((torch.zeros_like(codes[:, :1]), codes), 1)


def grid(height: int, width: int, dim: int, gsd: Tensor) -> Tensor:
    """Codes of the places of a grid, row by row, [B, height * width, dim].

    A place's column, then its row, counted from 0 and times gsd [B], each as dim / 4 sines and as
    many cosines of falling frequency.
    Source: github:bair-climate-initiative/scale-mae@89280d8 mae/util/pos_embed.py,
    get_2d_sincos_pos_embed_with_resolution; it does squares only.
    """
    powers = torch.arange(dim // 4, device=gsd.device) / (dim // 4)
    rows = torch.arange(height, device=gsd.device).repeat_interleave(width)
    columns = torch.arange(width, device=gsd.device).repeat(height)
    places = torch.stack((columns, rows), -1) * gsd[:, None, None]  # [B, height * width, 2]
    angles = places[..., None] / 10000**powers
    return torch.cat((angles.sin(), angles.cos()), -1).flatten(2)
