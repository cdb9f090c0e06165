"""SkySense's fusion: heads that upsample Sentinel maps, and a transformer per location.

Source: github:Bili-Sakura/SkySense@107d4e0 models/up_head.py and models/transformer_encoder.py
(the official upload, 5ec7e33), read for the facts.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from .vit_mm import PATCH, Block

# Tokens that go through the blocks together: a map of 128 x 128 places with 60 dates has a
# million. Places do not see each other, so this bounds the memory and changes no number.
RUN = 65536


class UPHead(nn.Module):
    """Upsamples [B, inputs, h, w] to [B, outputs, 4h, 4w]: a 1x1 convolution and pixel shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.decoder = nn.Sequential(
            nn.Conv2d(inputs, outputs * PATCH * PATCH, 1), nn.PixelShuffle(PATCH)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.decoder(x))


class Fusion(nn.Module):
    """A transformer over the tokens of a location; its class token is the fused vector.

    There is no positional embedding, so the order of the tokens does not matter.
    """

    def __init__(self, inputs: int, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.project = nn.Linear(inputs, dim)
        self.layers = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Fuse projected tokens, [L, N, dim], to vectors, [L, dim].

        seen: bool [L, N], False for tokens to mask; None: no mask.
        """
        rows = max(1, RUN // (1 + x.shape[1]))
        parts = torch.split(x, rows)
        masks = [None] * len(parts) if seen is None else torch.split(seen, rows)
        return torch.cat([self._run(*pair) for pair in zip(parts, masks, strict=True)])

    def _run(self, x: Tensor, seen: Tensor | None) -> Tensor:
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        if seen is not None:
            seen = torch.cat((seen.new_ones(len(seen), 1), seen), 1)
        for block in self.layers:
            x = block(x, seen)
        return x[:, 0]

    def layer_groups(self) -> list[nn.Module]:
        """The projection, then block by block, for layer-wise learning-rate decay."""
        stem = [self.project, nn.ParameterList([self.cls_token])]
        return [nn.ModuleList(stem), *self.layers]
