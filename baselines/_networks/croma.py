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

from .precision import wide
from .residual import ResidualBranches

PATCH = 8
HEADS = 16  # in the base and in the large network


def alibi_bias(height: int, width: int, like: Tensor) -> Tensor:
    """2-D ALiBi bias of the attention scores of a grid, [1, HEADS, N, N], N = height * width.

    Minus the distance between two patches, times a slope that shrinks by 2 ** -0.5 per head.
    """
    places = torch.arange(height * width, device=like.device)
    rows, columns = (places // width).float(), (places % width).float()
    distances = torch.hypot(rows[:, None] - rows, columns[:, None] - columns)
    slopes = 2.0 ** (-8 / HEADS * torch.arange(1, HEADS + 1, device=like.device))
    return (-slopes[:, None, None] * distances)[None].to(like.dtype)


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Multi-head attention with an additive bias; q, k, v and the output are [B, N, D]."""
    q, k, v = (x.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    return out.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Pre-norm self-attention."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None) -> Tensor:
        q, k, v = self.to_qkv(self.input_norm(x)).chunk(3, -1)
        out: Tensor = self.to_out(biased_attention(q, k, v, bias))
        return out


class CrossAttention(nn.Module):
    """Cross-attention to another sensor's tokens; one layer norm serves both."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(dim)
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor) -> Tensor:
        x, context = self.input_norm(x), self.input_norm(context)
        out: Tensor = self.to_out(
            biased_attention(self.to_q(x), self.to_k(context), self.to_v(context), bias)
        )
        return out


class FeedForward(nn.Module):
    """A pre-norm MLP: two linear layers with a GELU between them."""

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
    """Layers of self-attention, optional cross-attention, and an MLP."""

    def __init__(self, dim: int, depth: int, crosses: bool = False) -> None:
        super().__init__()
        kinds = (Attention, CrossAttention, FeedForward) if crosses else (Attention, FeedForward)
        self.layers = nn.ModuleList(
            ResidualBranches(*(kind(dim) for kind in kinds)) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(dim)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None = None) -> Tensor:
        """x, context: tokens of two sensors, [B, N, D]."""
        for layer in self.layers:
            x = layer(x, bias, context)
        out: Tensor = self.norm_out(x)
        return out


class Encoder(nn.Module):
    """Encodes one sensor's images, [B, C, H, W], to tokens row by row, [B, H / 8 * W / 8, D]."""

    def __init__(self, channels: int, dim: int, depth: int) -> None:
        super().__init__()
        self.linear_input = nn.Linear(channels * PATCH**2, dim)
        self.transformer = Transformer(dim, depth)

    def forward(self, images: Tensor, bias: Tensor) -> Tensor:
        patches = F.unfold(images, PATCH, stride=PATCH).mT  # each: channel, row, column
        out: Tensor = self.transformer(self.linear_input(patches), bias)
        return out


class Croma(nn.Module):
    """The three encoders, and the MLP that maps a sensor's mean token to its pooled vector.

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
        """Encode normalised images of one sensor or both: "s2" [B, 12, H, W], "s1" [B, 2, H, W].

        Returns a pooled vector, [B, D], and tokens, [B, N, D]: the sensor's for one sensor; for
        both, the joint tokens, whose mean is the vector.
        """
        first = next(iter(images.values()))
        bias = alibi_bias(first.shape[-2] // PATCH, first.shape[-1] // PATCH, first)
        tokens: dict[str, Tensor] = {
            name: self.get_submodule(f"{name}_encoder")(x, bias) for name, x in images.items()
        }
        if len(tokens) == 1:
            ((name, only),) = tokens.items()
            return self.get_submodule(f"{name}_pool")(wide(only).mean(1)), only
        joint = self.joint_encoder(tokens["s1"], bias, tokens["s2"])
        return wide(joint).mean(1), joint
