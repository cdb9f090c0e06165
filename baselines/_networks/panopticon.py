"""Panopticon's patch embedding: attention over the channels, each with an id.

The id of an optical channel is its wavelength in nanometres; radar has -1 to -12: VV, VH, HH, HV
of an unknown orbit, then of ascending, then of descending orbits.
Source: github:Panopticon-FM/panopticon@5ad7f82 dinov2/models/panopticon.py; the names of the parts
are those of the published file.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._families.constants import constant
from .dynamic import sincos_codes

RADAR = ("vv", "vh", "hh", "hv")  # the order of the ids


class ChannelCodes(nn.Module):
    """Channel embedding of C channel ids, [C, dim]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        third = dim // 3
        self.dim = dim
        self.embed_transmit = nn.Parameter(torch.zeros(2, third))  # vertical, horizontal
        self.embed_receive = nn.Parameter(torch.zeros(2, third))
        self.embed_orbit = nn.Parameter(torch.zeros(2, dim - 2 * third))  # ascending, descending

    def forward(self, ids: Sequence[float]) -> Tensor:
        return torch.stack([self.radar(n) if n < 0 else self.optical(n) for n in ids])

    def optical(self, wavelength: float) -> Tensor:
        """Code of a wavelength in whole nanometres, [dim]."""
        return sincos_codes(constant([wavelength // 1], self.embed_orbit), self.dim)[0]

    def radar(self, number: float) -> Tensor:
        """Code of a radar channel by polarisation and orbit, [dim]."""
        orbit, polarisation = divmod(round(-number) - 1, len(RADAR))
        transmitted, received = ("vh".index(letter) for letter in RADAR[polarisation])
        orbits = (self.embed_orbit.mean(0), *self.embed_orbit)
        return torch.cat(
            (self.embed_transmit[transmitted], self.embed_receive[received], orbits[orbit])
        )


class ChannelAttention(nn.Module):
    """Cross-attention from a learned query to the channels' tokens, [N, C, dim] -> [N, dim]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.chnemb = ChannelCodes(dim)
        self.query = nn.Parameter(torch.randn(1, 1, dim))
        self.xattn = nn.ModuleDict(
            {name: nn.Linear(dim, dim, bias=False) for name in ("inproj_k", "inproj_v")}
        )

    def forward(self, x: Tensor) -> Tensor:
        asked = (self.query.expand(len(x), -1, -1), self.xattn["inproj_k"](x))
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [N, heads, 1 or C, dim / heads]
            for t in (*asked, self.xattn["inproj_v"](x))
        )
        return F.scaled_dot_product_attention(query, key, value).flatten(1)


class ChannelPatches(nn.Module):
    """Embeds images [B, C, H, W] with their channel ids to patches [B, dim, h, w].

    inner: width of the attention over the channels.
    """

    def __init__(self, dim: int, patch: int, inner: int, heads: int) -> None:
        super().__init__()
        kernel = (1, patch, patch)
        self.conv3d = nn.ModuleDict({"conv3d": nn.Conv3d(1, inner, kernel, kernel)})
        self.chnfus = ChannelAttention(inner, heads)
        self.proj = nn.Linear(inner, dim)

    def forward(self, images: Tensor, ids: Sequence[float]) -> Tensor:
        each = self.conv3d["conv3d"](images[:, None])  # [B, inner, C, h, w]
        tokens = each.permute(0, 3, 4, 2, 1) + self.chnfus.chnemb(ids)
        fused = self.chnfus(tokens.flatten(0, 2))  # [B * h * w, inner]
        patches: Tensor = self.proj(fused).view(len(images), *each.shape[-2:], -1)
        return patches.permute(0, 3, 1, 2)
