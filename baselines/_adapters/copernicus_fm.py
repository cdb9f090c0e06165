"""The adapter of Copernicus-FM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, Features, ModelCard
from skybench.core.sensors import L1C

from .._families.any_band import RGB, SENTINEL2
from .._families.constants import constant
from .._families.resnet import Standardise
from .._families.vit import ViTArch
from .._networks.dynamic import CODE, DynamicPatches, fourier_codes
from .._networks.precision import in_float32
from .dofa import DynamicPatchViT
from .vit import Normalise

# Mean and standard deviation of the pre-training images, in reflectance x 1e4 and dB.
# Source: github:zhu-xlab/Copernicus-FM@da95635 Copernicus-FM/src/main_pretrain.py
MEAN_S2 = (
    1612.9, 1397.6, 1322.3, 1373.1, 1561.0, 2108.4, 2390.7, 2318.7, 2581.0, 837.7, 22.0, 2195.2,
    1537.4,
)  # fmt: skip
STD_S2 = (
    791.0, 854.3, 878.7, 1144.9, 1127.5, 1164.2, 1276.0, 1249.5, 1345.9, 577.5, 47.5, 1340.0,
    1142.9,
)  # fmt: skip
S1 = Standardise((-12.59, -20.26), (5.26, 5.91))
# Centre and width of the bands of Sentinel-2, nanometres. Source: Copernicus-Bench/src/configs/
# dataset/cobench_eurosat_s2.yaml, and _s1.yaml for Sentinel-1.
CENTRES = (440, 490, 560, 665, 705, 740, 783, 842, 860, 940, 1370, 1610, 2190)
WIDTHS = (20, 65, 35, 30, 15, 15, 20, 115, 20, 20, 30, 90, 180)


class Bands(NamedTuple):
    """Centre and width of each channel, in nanometres, as the network reads them."""

    centres: Sequence[float]
    widths: Sequence[float]


def _of(values: Sequence[float], bands: Sequence[str]) -> tuple[float, ...]:
    """Pick the values of the given Sentinel-2 bands."""
    return tuple(values[L1C.index(band)] for band in bands)


OPTICAL = {s.name: s.bands for s in SENTINEL2} | {"hr": RGB}
NORMALISE: Mapping[str, Normalise] = {
    name: Standardise(_of(MEAN_S2, bands), _of(STD_S2, bands)) for name, bands in OPTICAL.items()
} | {"s1": S1}
BANDS = {name: Bands(_of(CENTRES, bands), _of(WIDTHS, bands)) for name, bands in OPTICAL.items()}
BANDS["s1"] = Bands((5e7, 5e7), (1e9, 1e9))

AREA = 0.16**2  # of a patch in square kilometres: 16 pixels of 10 m
LANGUAGE = 2048  # width of the embedding of a variable's name
# The shortest and longest period of each code: nanometres, degrees, days, square kilometres.
CENTRE_PERIODS, WIDTH_PERIODS = (100, 1e9), (1, 1e9)
DEGREES, DAYS, AREAS = (0.0001, 720), (1, 365.25), (0.001, 5.1e8)


def antialiased(stored: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the stored positional embedding as the authors' flexivit/utils.py does."""
    return F.interpolate(stored, size, mode="bicubic", antialias=True)


class NamedPatches(DynamicPatches):
    """Patch embedding of one channel; its kernel follows from a name embedding, [LANGUAGE]."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__(dim, patch)
        self.language_proj = nn.Linear(LANGUAGE, CODE)

    def forward(self, images: Tensor, codes: Tensor) -> Tensor:
        return super().forward(images, self.language_proj(codes[None]))


class CopernicusFM(DynamicPatchViT):
    """Copernicus-FM for any Sentinel-2 bands, Sentinel-1 or RGB images: the card's inputs."""

    def __init__(self, card: ModelCard, arch: ViTArch) -> None:
        super().__init__(card, arch, NORMALISE, positions=antialiased)
        net, dim = self.net, arch.dim
        net.patch_embed = None
        net.patch_embed_spectral = DynamicPatches(dim, arch.patch)
        net.patch_embed_variable = NamedPatches(dim, arch.patch)
        for what in ("coord", "scale", "time"):
            setattr(net, f"{what}_fc", nn.Linear(dim, dim))
            token = nn.init.normal_(torch.empty(1, 1, dim), std=0.02)
            setattr(net, f"{what}_token", nn.Parameter(token))

    def forward(self, batch: Batch) -> Features:
        name = next(s.name for s in self.card.inputs if s.name in batch.images)
        images = self.normalise[name](batch.images[name][:, 0])
        days = batch.days[name][:, 0].double()
        days = torch.where(days < 0, torch.nan, days)
        area = torch.full_like(days, torch.nan if name == "hr" else AREA)
        about = torch.cat((batch.lonlat.double(), days[:, None], area[:, None]), 1)
        return self.extract(images, BANDS[name], about)

    def extract(
        self, images: Tensor, bands: Bands | None = None, about: Tensor | None = None
    ) -> Features:
        """Features of normalised images [B, C, H, W].

        bands: None means the card's first input. about: longitude and latitude in degrees,
        days since 1970-01-01, and area of a patch in km² of each image, [B, 4]; NaN if unknown.
        """
        patches = self.net.patch_embed_spectral(images, self.codes(images, bands))
        return self.features(patches, self.context(patches, about))

    def tokens(
        self, images: Tensor, bands: Bands | None = None, about: Tensor | None = None
    ) -> Iterator[Tensor]:
        patches = self.net.patch_embed_spectral(images, self.codes(images, bands))
        yield from self.through(patches, self.context(patches, about))

    def codes(self, images: Tensor, bands: Bands | None) -> Tensor:
        """Codes of the channels, [C, CODE]; `bands` as in `extract`."""
        centres, widths = (constant(b, images) for b in bands or BANDS[self.card.inputs[0].name])
        return fourier_codes(centres, *CENTRE_PERIODS, CODE) + fourier_codes(
            widths, *WIDTH_PERIODS, CODE
        )

    def context(self, like: Tensor, about: Tensor | None) -> Tensor:
        """Metadata embedding that is added to every token, [B, 1, D]; `about` as in `extract`."""
        return self._context(
            torch.full((len(like), 4), torch.nan, device=like.device) if about is None else about
        )

    @in_float32
    def _context(self, about: Tensor) -> Tensor:
        net, dim = self.net, self.net.coord_token.shape[-1]
        lon, lat, day, area = about.unbind(1)
        half = dim // 2
        place = torch.cat(
            (fourier_codes(lon + 180, *DEGREES, half), fourier_codes(lat + 90, *DEGREES, half)), -1
        )
        parts = (
            (net.coord_fc, net.coord_token, place),
            (net.scale_fc, net.scale_token, fourier_codes(area, *AREAS, dim)),
            (net.time_fc, net.time_token, fourier_codes(day, *DAYS, dim)),
        )
        sums = [
            layer(torch.where(code.isnan().any(1, keepdim=True), token[0], code.nan_to_num()))
            for layer, token, code in parts
        ]
        return torch.stack(sums).sum(0)[:, None]

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        tables = (net.cls_token, net.pos_embed, net.coord_token, net.scale_token, net.time_token)
        embeddings = (net.patch_embed_spectral, net.patch_embed_variable)
        stem = (*embeddings, net.coord_fc, net.scale_fc, net.time_fc, nn.ParameterList(tables))
        return (nn.ModuleList(stem), *net.blocks)
