"""The adapter of DINO-MM."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.core import Batch, Features, ModelCard

from .._families.resnet import two_sigma_stretch
from .._families.vit import ViTArch
from .grids import common_size
from .vit import ViT, dino_positions

# Source: github:zhu-xlab/DINO-MM@45975d8 datasets/BigEarthNet/: bigearthnet_dataset_seco.py
# (BAND_STATS, reflectance x 1e4), bigearthnet_dataset_seco_lmdb_B14.py (VH, VV in dB).
S2 = two_sigma_stretch(
    (
        340.76769064, 429.9430203, 614.21682446, 590.23569706, 950.68368468, 1792.46290469,
        2075.46795189, 2218.94553375, 2266.46036911, 2246.0605464, 1594.42694882, 1009.32729131,
    ),
    (
        554.81258967, 572.41639287, 582.88945694, 675.88746967, 729.89827633, 1096.01480586,
        1273.45393088, 1365.45589904, 1356.13789355, 1302.3292881, 1079.19066363, 818.86747235,
    ),
)  # fmt: skip
S1 = two_sigma_stretch((-19.22, -12.59), (5.42, 5.04))


def without_outliers(x: Tensor) -> Tensor:
    """Clip each band of each image to its own 1st and 99th percentile, [B, C, H, W]."""
    pixels = x.flatten(2).sort(-1).values  # torch.quantile has a limit of size

    def quantile(share: float) -> Tensor:
        below, weight = divmod(share * (pixels.shape[-1] - 1), 1)
        pair = pixels[..., int(below) :][..., :2]
        return pair[..., 0].lerp(pair[..., -1], weight)[..., None, None]

    return x.clamp(quantile(0.01), quantile(0.99))


def radar(x: Tensor) -> Tensor:
    """[B, 2, H, W], VH and VV in dB -> 0..1."""
    return S1(without_outliers(x))


class DinoMM(ViT):
    """Sentinel-2 and Sentinel-1 on one grid, or either alone -> `pooled` and the last map."""

    def __init__(self, card: ModelCard, arch: ViTArch) -> None:
        super().__init__(card, arch, {"s2": S2, "s1": radar}, positions=dino_positions)

    def forward(self, batch: Batch) -> Features:
        given = {n: x[:, 0] for n, x in batch.images.items()}
        common_size(self.card.name, given.values())
        first = next(iter(given.values()))
        parts = [
            self.normalise[s.name](given[s.name])
            if s.name in given
            else first.new_zeros(len(first), len(s.bands), *first.shape[-2:])
            for s in self.card.inputs
        ]
        return self.extract(torch.cat(parts, 1))
