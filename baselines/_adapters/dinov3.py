"""The adapter of DINOv3."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from timm.models.eva import Eva
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import Standardise

PATCH = 16
REGISTERS = 4  # register tokens beside the class token
# Mean and standard deviation of SAT-493M, of 0..255.
# Source: github:facebookresearch/dinov3@6876159 README.md, image transforms.
SAT = Standardise(
    tuple(255 * m for m in (0.430, 0.411, 0.296)), tuple(255 * s for s in (0.213, 0.156, 0.143))
)


def build_eva(image: int, dim: int, depth: int, heads: int, eps: float) -> Any:
    """Build timm's EVA backbone with fresh weights; its rotary periods are a stored buffer."""
    net: Any = Eva(
        image,
        PATCH,
        num_classes=0,
        global_pool="",
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        norm_layer=functools.partial(nn.LayerNorm, eps=eps),
        init_values=1e-5,
        num_reg_tokens=REGISTERS,
        use_abs_pos_emb=False,
        use_rot_pos_emb=True,
        rope_type="dinov3",
        rope_temperature=100.0,
        rope_rotate_half=True,
        dynamic_img_size=True,
    )
    net.rope.register_buffer("periods", net.rope.periods)
    return net


class DINOv3(Model):
    """RGB images -> the normed class token, and the map of the last block."""

    net: Any  # timm has no types

    def __init__(
        self, card: ModelCard, image: int, dim: int, depth: int, heads: int, eps: float
    ) -> None:
        super().__init__(card)
        self.net = build_eva(image, dim, depth, heads, eps)

    def forward(self, batch: Batch) -> Features:
        return self.extract(SAT(batch.images["hr"][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, 3, H, W]; H and W are multiples of 16."""
        (last,) = deque(self.tokens(images), 1)
        normed = self.net.norm(last)
        size = [n // PATCH for n in images.shape[-2:]]
        return Features(normed[:, 0], (normed[:, 1 + REGISTERS :].mT.unflatten(2, size),))

    def tokens(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the tokens after each block, [B, N, C]: class token, registers, then patches."""
        net = self.net
        patches = net.patch_embed.proj(images)  # [B, C, h, w]
        first = torch.cat((net.cls_token, net.reg_token), 1).expand(len(images), -1, -1)
        x = torch.cat((first, patches.flatten(2).mT), 1)
        places = net.rope.get_embed(list(patches.shape[-2:]))
        for block in net.blocks:
            x = block(x, rope=places)
            yield x

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        tokens = nn.ParameterList((net.cls_token, net.reg_token))
        return (nn.ModuleList((net.patch_embed, tokens)), *net.blocks)
