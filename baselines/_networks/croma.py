"""CROMA's encoders: optical, radar, and one that joins them by cross-attention.

Every attention is biased by the distance between patches (2-D ALiBi), so there are no position
embeddings and images of any size can be read.
Source: Fuller et al., arXiv:2311.00566; github:antofuller/CROMA@59505a6 use_croma.py, read for the
facts. torchgeo 0.8.1 has the same network; its class is built for one square size and needs both
sensors, and its attention keeps the scores of all heads: at 512 pixels it takes four times as long
as this one and twice the memory (measured on a CPU).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .residual import Branches

PATCH = 8
HEADS = 16  # in the base and in the large network


def alibi(height: int, width: int, like: Tensor) -> Tensor:
    """What is added to attention scores of a grid of patches, [1, HEADS, N, N], N = height * width.

    Minus the distance between two patches, times a slope that falls from head to head by 2 ** -0.5.
    """
    places = torch.arange(height * width, device=like.device)
    rows, columns = (places // width).float(), (places % width).float()
    distances = torch.hypot(rows[:, None] - rows, columns[:, None] - columns)
    slopes = 2.0 ** (-8 / HEADS * torch.arange(1, HEADS + 1, device=like.device))
    return (-slopes[:, None, None] * distances)[None].to(like.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention with HEADS heads; all but the bias [B, N, D]."""
    q, k, v = (x.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    return out.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention, normed before."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None) -> Tensor:
        q, k, v = self.to_qkv(self.input_norm(x)).chunk(3, -1)
        out: Tensor = self.to_out(attend(q, k, v, bias))
        return out


class CrossAttention(nn.Module):
    """Attention to another sensor's tokens; one norm serves both."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor) -> Tensor:
        x, context = self.input_norm(x), self.input_norm(context)
        out: Tensor = self.to_out(
            attend(self.to_q(x), self.to_k(context), self.to_v(context), bias)
        )
        return out


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them, normed before."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        # The third is the authors' dropout of 0, which counts in the published keys.
        self.net = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Identity(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None) -> Tensor:
        out: Tensor = self.net(self.input_norm(x))
        return out


class Transformer(nn.Module):
    """Layers of self-attention, cross-attention if asked for, and a feed-forward network."""

    def __init__(self, dim: int, depth: int, crosses: bool = False) -> None:
        super().__init__()
        kinds = (Attention, CrossAttention, FeedForward) if crosses else (Attention, FeedForward)
        self.layers = nn.ModuleList(Branches(*(kind(dim) for kind in kinds)) for _ in range(depth))
        self.norm_out = nn.LayerNorm(dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None = None) -> Tensor:
        """x, context: tokens of two sensors, [B, N, D]."""
        for layer in self.layers:
            x = layer(x, bias, context)
        out: Tensor = self.norm_out(x)
        return out


class Encoder(nn.Module):
    """One sensor's images, [B, C, H, W] -> tokens, row by row, [B, H / 8 * W / 8, D]."""

    def __init__(self, channels: int, dim: int, depth: int) -> None:
        super().__init__()
        self.linear_input = nn.Linear(channels * PATCH**2, dim)
        self.transformer = Transformer(dim, depth)

    def forward(self, images: Tensor, bias: Tensor) -> Tensor:
        patches = F.unfold(images, PATCH, stride=PATCH).mT  # each: channel, row, column
        out: Tensor = self.transformer(self.linear_input(patches), bias)
        return out


class Croma(nn.Module):
    """The three encoders, and what makes one vector of a sensor's mean token.

    depth: layers of the optical encoder; the other two have half as many.
    """

    def __init__(self, dim: int, depth: int) -> None:
        super().__init__()
        self.s2_encoder = Encoder(12, dim, depth)
        self.s1_encoder = Encoder(2, dim, depth // 2)
        self.joint_encoder = Transformer(dim, depth // 2, crosses=True)
        self.s2_pool, self.s1_pool = (
            nn.Sequential(
                nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
            )
            for _ in range(2)
        )

    def forward(self, images: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Normalised images of one sensor or both: "s2" [B, 12, H, W], "s1" [B, 2, H, W].

        Returns one vector an image, [B, D], and tokens, [B, N, D]: the sensor's own for one, for
        both the joint ones, whose mean the vector is.
        """
        first = next(iter(images.values()))
        bias = alibi(first.shape[-2] // PATCH, first.shape[-1] // PATCH, first)
        tokens: dict[str, Tensor] = {
            name: self.get_submodule(f"{name}_encoder")(x, bias) for name, x in images.items()
        }
        if len(tokens) == 1:
            ((name, only),) = tokens.items()
            return self.get_submodule(f"{name}_pool")(only.mean(1)), only
        joint = self.joint_encoder(tokens["s1"], bias, tokens["s2"])
        return joint.mean(1), joint
