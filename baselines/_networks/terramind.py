"""TerraMind's encoder: one transformer over the patches of all given sensors.

Source: Jakubik et al., arXiv:2504.11171; github:IBM/terratorch@85467a9
terratorch/models/backbones/terramind/model/{terramind_vit,encoder_embeddings,tm_utils}.py, read
for the facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from timm.layers.mlp import Mlp, SwiGLU
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F

from .dynamic import sincos_codes

PATCH = 16


class Norm(nn.Module):
    """Layer norm with a stored bias that is not learned."""

    def __init__(self, dim: int, **_: object) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-6)


class Embedding(nn.Module):
    """Embeds one sensor's images [B, C, H, W] to tokens, row by row, [B, H / 16 * W / 16, D].

    side: patches per side of the stored positional embedding; it is interpolated for other sizes.
    """

    def __init__(self, channels: int, dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.proj = nn.Conv2d(channels, dim, PATCH, PATCH, bias=False)
        self.mod_emb = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        codes = sincos_codes(torch.arange(side), dim // 2)
        rows, columns = (codes.unsqueeze(i).expand(side, side, -1) for i in (1, 0))
        self.pos_emb: Tensor
        self.register_buffer("pos_emb", torch.cat((rows, columns), -1).reshape(1, side**2, dim))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.proj(images)
        table = self.pos_emb.mT.reshape(1, -1, self.side, self.side)
        codes = F.interpolate(table, patches.shape[-2:], mode="bicubic", align_corners=False)
        tokens: Tensor = (patches + codes).flatten(2).mT + self.mod_emb
        return tokens


class TerraMind(nn.Module):
    """The encoder for Sentinel-2 L2A ("s2", 12 bands), Sentinel-1 GRD ("s1"), or both.

    gated: SwiGLU and no biases, as the larger published networks; else GELU, and biases.
    """

    def __init__(self, side: int, dim: int, depth: int, heads: int, gated: bool) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {name: Embedding(channels, dim, side) for name, channels in (("s2", 12), ("s1", 2))}
        )
        self.blocks = nn.ModuleList(
            Block(
                dim,
                heads,
                mlp_ratio=8 / 3 if gated else 4.0,
                qkv_bias=not gated,
                proj_bias=not gated,
                act_layer=nn.SiLU if gated else nn.GELU,
                norm_layer=Norm,
                mlp_layer=SwiGLU if gated else Mlp,
            )
            for _ in range(depth)
        )
        self.norm = Norm(dim)

    def tokens(self, images: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """Yield the tokens after each block, averaged over sensors, [B, N, D]; the last are normed.

        images: normalised, [B, C, H, W], of one size.
        """
        x = torch.cat([self.embeddings[name](x) for name, x in images.items()], 1)
        for block in self.blocks:
            x = block(x)
            last = block is self.blocks[-1]
            yield (self.norm(x) if last else x).unflatten(1, (len(images), -1)).mean(1)
