"""The adapters of SatMAE: RGB, groups of Sentinel-2 bands, and three dates."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard

from .._families.resnet import Standardise, two_sigma_stretch
from .._families.vit import ViTArch
from .._networks.precision import date_mean
from .dates import year_and_month
from .vit import Normalise, ViT

# Channels of each group: B2, B3, B4, B8; B5, B6, B7, B8A; B11, B12.
# Source: github:sustainlab-group/SatMAE@e31c11f README.md, --grouped_bands.
GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))
DATES = 3  # that are read together

# Mean and standard deviation of fMoW (of x / 255), and of fMoW-Sentinel (reflectance x 1e4)
# without B1, B9 and B10. Source: github:sustainlab-group/SatMAE@e31c11f util/datasets.py.
MEAN_RGB = (0.4182007312774658, 0.4214799106121063, 0.3991275727748871)
STD_RGB = (0.28774282336235046, 0.27541765570640564, 0.2764017581939697)
MEAN_S2 = (
    1184.3824625, 1120.77120066, 1136.26026392, 1263.73947144, 1645.40315151,
    1846.87040806, 1762.59530783, 1972.62420416, 1732.16362238, 1247.91870117,
)  # fmt: skip
STD_S2 = (
    650.2842772, 712.12507725, 965.23119807, 948.9819932, 1108.06650639,
    1258.36394548, 1233.1492281, 1364.38688993, 1310.36996126, 1087.6020813,
)  # fmt: skip
NORMALISE: Mapping[str, Normalise] = {
    "hr": Standardise(tuple(255 * m for m in MEAN_RGB), tuple(255 * s for s in STD_RGB)),
    "s2": two_sigma_stretch(MEAN_S2, STD_S2),
}

FIRST_YEAR = 2002  # of fMoW
UNKNOWN = 16617  # 1 July 2015: for images without a date; fMoW covers 2002 to 2017
HOUR = 10  # of every image: days carry none


def unnormed_patch_mean(net: Any, tokens: Sequence[Tensor]) -> Tensor:
    """Mean of the last block's patch tokens, without a norm."""
    return tokens[-1][:, 1:].mean(1)


def rgb_model(card: ModelCard, arch: ViTArch) -> ViT:
    """Build the adapter for RGB images with fresh weights."""
    return ViT(card, arch, {"hr": NORMALISE["hr"]}, unnormed_patch_mean)


class MultiTokenViT(ViT):
    """A ViT with several tokens per patch location; its map holds their mean.

    codes: channels of the positional embedding that encode the band group or date of a token; the
    others encode its location.
    """

    def __init__(self, card: ModelCard, arch: ViTArch, codes: int) -> None:
        super().__init__(card, arch, {s.name: NORMALISE[s.name] for s in card.inputs})
        self.codes = codes
        table = torch.empty(1, 1 + self.grid**2, arch.dim - codes)
        self.net.pos_embed = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))

    @abc.abstractmethod
    def embed(self, images: Tensor, when: Tensor | None) -> Tensor:
        """Embed all tokens before the first block, [B, 1 + K * h * w, D]; see `extract`."""

    def coded(self, patches: Tensor, codes: Tensor, first: Tensor) -> Tensor:
        """Add class token and codes to the K patch embeddings of each location, [B, K, D, h, w].

        codes: of the band group or date, [B or 1, K, c]; first: of the class token, [1, 1, c].
        """
        where = self.positions(*patches.shape[-2:])  # [1, 1 + h * w, D - c]
        start = self.net.cls_token + torch.cat((where[:, :1], first), -1)
        there = where[:, None, 1:].expand(*codes.shape[:2], -1, -1)
        which = codes[:, :, None].expand(-1, -1, there.shape[2], -1)
        tokens = patches.flatten(3).mT + torch.cat((there, which), -1)
        return torch.cat((start.expand(len(patches), -1, -1), tokens.flatten(1, 2)), 1)

    def tokens(self, images: Tensor, when: Tensor | None = None) -> Iterator[Tensor]:
        x = self.embed(images, when)
        for block in self.net.blocks:
            x = block(x)
            yield x

    def extract(self, images: Tensor, when: Tensor | None = None) -> Features:
        """Features of normalised images: [B, 10, H, W], or of three dates, [B, 3, 3, H, W].

        when: (year - 2002, month - 1, hour) of each date, int64 [B, 3, 3]; None: unknown.
        """
        last = deque(self.tokens(images, when), 1)[0]
        size = [n // self.patch for n in images.shape[-2:]]
        places = self.net.norm(last[:, 1:]).mT.reshape(len(last), last.shape[-1], -1, *size)
        return Features(unnormed_patch_mean(self.net, [last]), (places.mean(2),))


class MultiSpectralViT(MultiTokenViT):
    """Ten bands of Sentinel-2 in three groups, each with its own patch embedding."""

    def __init__(self, card: ModelCard, arch: ViTArch, codes: int) -> None:
        super().__init__(card, arch, codes)
        net = self.net
        net.patch_embed = nn.ModuleList(
            PatchEmbed(arch.image, arch.patch, len(bands), arch.dim) for bands in GROUPS
        )
        group = torch.empty(1, len(GROUPS), codes)
        net.channel_embed = nn.Parameter(nn.init.trunc_normal_(group, std=0.02))
        net.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, codes))

    def embed(self, images: Tensor, when: Tensor | None) -> Tensor:
        net = self.net
        each = zip(net.patch_embed, GROUPS, strict=True)
        patches = torch.stack([group.proj(images[:, list(bands)]) for group, bands in each], 1)
        return self.coded(patches, net.channel_embed, net.channel_cls_embed)

    def layers(self) -> Sequence[nn.Module]:
        stem, *blocks = super().layers()
        codes = nn.ParameterList((self.net.channel_embed, self.net.channel_cls_embed))
        return (nn.ModuleList((stem, codes)), *blocks)


class TemporalViT(MultiTokenViT):
    """Three dates of RGB images with the year, month and hour of each.

    A single date is repeated three times, and the second of two is repeated once, as in the
    authors' data set. A longer series is split into triples that are spread over it (1st, 3rd and
    5th of six, then 2nd, 4th and 6th), and their features are averaged. Unseen dates are ignored.
    """

    def forward(self, batch: Batch) -> Features:
        images = self.normalise["hr"](batch.images["hr"])  # [B, T, 3, H, W]
        when = year_month_hour(batch.days["hr"])  # [B, T, 3]
        each, shares = date_triples(batch.seen["hr"])
        rows = torch.arange(len(images), device=images.device)[:, None]
        found = [self.extract(images[rows, dates], when[rows, dates]) for dates in each]
        pooled, level = (
            date_mean(torch.stack(parts), shares)
            for parts in zip(*((f.pooled, f.pyramid[0]) for f in found), strict=True)
        )
        return Features(pooled, (level,))

    def embed(self, images: Tensor, when: Tensor | None) -> Tensor:
        if when is None:
            when = year_month_hour(torch.full(images.shape[:2], -1, device=images.device))
        patches = self.net.patch_embed.proj(images.flatten(0, 1))
        codes = sincos_codes(when, self.codes // when.shape[-1]).float()
        nothing = torch.zeros_like(codes[:1, :1])
        return self.coded(patches.unflatten(0, images.shape[:2]), codes, nothing)


def year_month_hour(days: Tensor) -> Tensor:
    """Days since 1970-01-01 (-1: unknown), [...] -> (year - 2002, month - 1, hour), [..., 3]."""
    year, month = year_and_month(torch.where(days < 0, UNKNOWN, days))
    return torch.stack((year - FIRST_YEAR, month, torch.full_like(month, HOUR)), -1)


def sincos_codes(numbers: Tensor, width: int) -> Tensor:
    """Sine-cosine codes of each value, concatenated, [..., n] -> [..., n * width], float64."""
    steps = torch.arange(width // 2, device=numbers.device, dtype=torch.float64)
    angles = numbers[..., None] * 10000 ** -(steps / (width // 2))
    return torch.cat((angles.sin(), angles.cos()), -1).flatten(-2)


def date_triples(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the triples of dates, int64 [K, B, 3], and their weights in the mean, [K, B].

    seen: bool [B, T]. See `TemporalViT`; a sample with fewer triples than others has weights of 0.
    """
    count = seen.sum(1).clamp(min=1)  # [B]
    runs = torch.div(count + DATES - 1, DATES, rounding_mode="floor")
    run = torch.arange(int(runs.max()), device=seen.device)[:, None].minimum(runs - 1)  # [K, B]
    lasts = torch.div(count - 1 - run, runs, rounding_mode="floor")  # steps to the run's last date
    steps = torch.arange(DATES, device=seen.device).minimum(lasts[..., None])  # [K, B, 3]
    order = (~seen).to(torch.uint8).argsort(stable=True)  # seen ones first
    places = run[..., None] + steps * runs[:, None]
    each = order.expand(len(run), -1, -1).gather(2, places)
    real = torch.arange(len(run), device=seen.device)[:, None] < runs
    return each, real / runs
