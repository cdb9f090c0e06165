"""The adapter of models whose backbone is timm's VisionTransformer."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.vit import ViTArch

Normalise = Callable[[Tensor], Tensor]  # [B, C, H, W] in the input's unit -> the network's
# The network, and its tokens after each of the last blocks, [B, N, C] each -> [B, D].
Pool = Callable[[Any, Sequence[Tensor]], Tensor]
# The stored positions, [1, C, h, w], and another size (h, w) -> [1, C, h, w] of that size.
Positions = Callable[[Tensor, tuple[int, int]], Tensor]


def build_vit(arch: ViTArch) -> Any:
    """Build timm's VisionTransformer with fresh weights."""
    return VisionTransformer(
        arch.image,
        arch.patch,
        arch.channels,
        num_classes=0,
        global_pool="",
        embed_dim=arch.dim,
        depth=arch.depth,
        num_heads=arch.heads,
        qkv_bias=arch.qkv_bias,
        class_token=arch.class_token,
        norm_layer=functools.partial(nn.LayerNorm, eps=arch.eps),
    )


def class_tokens(net: Any, tokens: Sequence[Tensor]) -> Tensor:
    """Concatenate the normed class token of each block."""
    return torch.cat([net.norm(x)[:, 0] for x in tokens], 1)


def patch_mean(net: Any, tokens: Sequence[Tensor]) -> Tensor:
    """Mean of the last block's normed patch tokens."""
    mean: Tensor = net.norm(tokens[-1])[:, net.num_prefix_tokens :].mean(1)
    return mean


def bicubic_positions(stored: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a positional embedding as MAE's interpolate_pos_embed does."""
    return F.interpolate(stored, size, mode="bicubic", align_corners=False)


def dino_positions(stored: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a positional embedding as DINO does: by the scale factor of a size 0.1 larger.

    Source: github:zhu-xlab/SSL4EO-S12@1dc0c83 src/benchmark/transfer_classification/models/dino/
    vision_transformer.py, interpolate_pos_encoding; DINO-MM's is the same.
    """
    height, width = ((n + 0.1) / own for n, own in zip(size, stored.shape[-2:], strict=True))
    return F.interpolate(stored, scale_factor=(height, width), mode="bicubic")


class ViT(Model):
    """One image of one of the card's inputs -> `pooled`, and the map of the last block.

    normalise: by input name. The card's inputs are alternatives: if a batch has several, the
    first of the card is read. pool: of the last `arch.last` blocks. positions: resizes the
    positional embedding for images of another size than `arch.image`.
    """

    net: Any  # timm has no types

    def __init__(
        self, card: ModelCard, arch: ViTArch, normalise: Mapping[str, Normalise],
        pool: Pool = class_tokens, positions: Positions = bicubic_positions,
    ) -> None:  # fmt: skip
        super().__init__(card)
        self.net = build_vit(arch)
        self.normalise, self.pool, self.resized = dict(normalise), pool, positions
        self.patch, self.grid, self.last = arch.patch, arch.image // arch.patch, arch.last

    def forward(self, batch: Batch) -> Features:
        name = next(s.name for s in self.card.inputs if s.name in batch.images)
        return self.extract(self.normalise[name](batch.images[name][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, C, H, W]; H and W are multiples of the patch."""
        last = deque(self.tokens(images), maxlen=self.last)
        patches = self.net.norm(last[-1])[:, self.net.num_prefix_tokens :]
        height, width = (n // self.patch for n in images.shape[-2:])
        last_map = patches.mT.reshape(len(images), -1, height, width)
        return Features(self.pool(self.net, last), (last_map,))

    def tokens(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the tokens after each block, [B, N, C]: class token, then patches row by row."""
        patches = self.net.patch_embed.proj(images)  # [B, C, h, w]
        x = patches.flatten(2).mT
        if self.net.cls_token is not None:
            x = torch.cat((self.net.cls_token.expand(len(x), -1, -1), x), 1)
        x = x + self.positions(*patches.shape[-2:])
        for block in self.net.blocks:
            x = block(x)
            yield x

    def positions(self, height: int, width: int) -> Tensor:
        """Positional embedding of a grid of height x width patches, [1, N, C]."""
        stored: Tensor = self.net.pos_embed
        if (height, width) == (self.grid, self.grid):
            return stored
        prefix, patches = stored.tensor_split([self.net.num_prefix_tokens], 1)
        square = patches.mT.reshape(1, -1, self.grid, self.grid)
        resized = self.resized(square, (height, width))
        return torch.cat((prefix, resized.flatten(2).mT), 1)

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        tables = nn.ParameterList(p for p in (net.cls_token, net.pos_embed) if p is not None)
        return (nn.ModuleList((net.patch_embed, tables)), *net.blocks)
