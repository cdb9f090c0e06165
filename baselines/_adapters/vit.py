"""Plain Vision Transformers: the adapter of models whose network is timm's."""

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

from .._families.vit import Arch

Normalise = Callable[[Tensor], Tensor]  # [B, C, H, W] in the input's unit -> the network's
# The network, and its tokens after each of the last blocks, [B, N, C] each -> [B, D].
Pool = Callable[[Any, Sequence[Tensor]], Tensor]
# The stored positions, [1, C, h, w], and another size (h, w) -> [1, C, h, w] of that size.
Positions = Callable[[Tensor, tuple[int, int]], Tensor]


def network(arch: Arch) -> Any:
    """The backbone, with fresh weights; timm's."""
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
    """The normed class token of each block, side by side."""
    return torch.cat([net.norm(x)[:, 0] for x in tokens], 1)


def patch_mean(net: Any, tokens: Sequence[Tensor]) -> Tensor:
    """The mean of the last block's normed tokens but the class token."""
    mean: Tensor = net.norm(tokens[-1])[:, net.num_prefix_tokens :].mean(1)
    return mean


def bicubic(stored: Tensor, size: tuple[int, int]) -> Tensor:
    """As MAE's interpolate_pos_embed and many others do."""
    return F.interpolate(stored, size, mode="bicubic", align_corners=False)


def dino(stored: Tensor, size: tuple[int, int]) -> Tensor:
    """As DINO does: by a factor for a size that is 0.1 larger, so other places are read.

    Source: github:zhu-xlab/SSL4EO-S12@1dc0c83 src/benchmark/transfer_classification/models/dino/
    vision_transformer.py, interpolate_pos_encoding; DINO-MM's is the same.
    """
    height, width = ((n + 0.1) / own for n, own in zip(size, stored.shape[-2:], strict=True))
    return F.interpolate(stored, scale_factor=(height, width), mode="bicubic")


class ViT(Model):
    """One image, in any one of the card's inputs -> `pooled`, and the map of the last block.

    normalise: for each input of the card; these are alternatives, and of several in a batch the
    card's first is read. pool: of the last `arch.last` blocks. positions: for images of another
    size than `arch.image`.
    """

    net: Any  # timm has no types

    def __init__(
        self, card: ModelCard, arch: Arch, normalise: Mapping[str, Normalise],
        pool: Pool = class_tokens, positions: Positions = bicubic,
    ) -> None:  # fmt: skip
        super().__init__(card)
        self.net = network(arch)
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
        """Block by block the tokens after it, [B, N, C]: the class token, then row by row."""
        patches = self.net.patch_embed.proj(images)  # [B, C, h, w]
        x = patches.flatten(2).mT
        if self.net.cls_token is not None:
            x = torch.cat((self.net.cls_token.expand(len(x), -1, -1), x), 1)
        x = x + self.positions(*patches.shape[-2:])
        for block in self.net.blocks:
            x = block(x)
            yield x

    def positions(self, height: int, width: int) -> Tensor:
        """[1, N, C] for a grid of so many patches."""
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
