"""The adapter of Panopticon."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skybench.core import Batch, Features, ModelCard
from skybench.core.sensors import L1C

from .._families.any_band import SENTINEL2
from .._families.resnet import Standardise
from .._families.vit import ViTArch
from .._networks.panopticon import RADAR, ChannelPatches
from .grids import common_size
from .softcon import add_layer_scale
from .vit import Normalise, ViT, dino_positions


class Band(NamedTuple):
    """Wavelength and statistics of a Sentinel-2 band."""

    wavelength: int  # nanometres
    mean: float  # of the pre-training images, reflectance x 1e4
    std: float


# Source: github:Panopticon-FM/panopticon@0d35ec7 dinov2/data/datasets/fmow.py, FmowDataset.MEAN
# and STD; of wavelengths see the card's `caveats`.
BANDS = dict(
    zip(
        L1C,
        (
            Band(442, 1569.1970, 517.7932),
            Band(493, 1383.9951, 595.0351),
            Band(559, 1338.4231, 690.2477),
            Band(664, 1408.1113, 994.7734),
            Band(704, 1537.2856, 994.4599),
            Band(740, 1926.5183, 1079.4558),
            Band(782, 2136.5127, 1192.3668),
            Band(827, 2033.4019, 1170.9979),
            Band(864, 2262.4558, 1278.2103),
            Band(945, 674.1297, 474.7933),
            Band(1373, 16.7465, 15.1294),
            Band(1613, 2027.3674, 1362.3807),
            Band(2203, 1501.4686, 1134.5983),
        ),
        strict=True,
    )
)
# Of 0..255: fmow.py; of VV and VH in dB: benv2.py.
HR = Standardise(
    (104.55944194, 106.19051078, 100.09524832), (68.97789839, 66.91165971, 69.09505695)
)
S1 = Standardise((-12.64386368, -19.35255814), (5.13349390, 5.59050560))


def _s2(bands: Sequence[str]) -> Standardise:
    chosen = [BANDS[band] for band in bands]
    return Standardise(tuple(b.mean for b in chosen), tuple(b.std for b in chosen))


OPTICAL = {s.name: s.bands for s in SENTINEL2}
NORMALISE: Mapping[str, Normalise] = {
    **{name: _s2(bands) for name, bands in OPTICAL.items()},
    "s1": S1,
    "hr": HR,
}
CHANNEL_IDS: Mapping[str, tuple[float, ...]] = {
    **{name: tuple(BANDS[b].wavelength for b in bands) for name, bands in OPTICAL.items()},
    "s1": tuple(-1 - RADAR.index(p) for p in ("vv", "vh")),  # of an unknown orbit
    "hr": (664, 559, 493),
}


class Panopticon(ViT):
    """Panopticon for Sentinel-2, Sentinel-1, both stacked, or RGB images: the card's inputs."""

    def __init__(self, card: ModelCard, arch: ViTArch, inner: int, inner_heads: int) -> None:
        super().__init__(card, arch, NORMALISE, positions=dino_positions)
        add_layer_scale(self.net)
        self.net.patch_embed = ChannelPatches(arch.dim, 14, inner, inner_heads)

    def forward(self, batch: Batch) -> Features:
        roles: dict[str, str] = {}  # sensor -> the first of its inputs in the batch
        for sensor in self.card.inputs:
            if sensor.name in batch.images:
                roles.setdefault(sensor.name.partition("_")[0], sensor.name)
        names = roles.values()
        common_size(self.card.name, (batch.images[name] for name in names))
        images = [self.normalise[name](batch.images[name][:, 0]) for name in names]
        ids = [number for name in names for number in CHANNEL_IDS[name]]
        return self.extract(torch.cat(images, 1), ids)

    def extract(self, images: Tensor, ids: Sequence[float] | None = None) -> Features:
        """Features of normalised images [B, C, H, W] with these channel ids.

        ids: see `_networks.panopticon`; None means those of the card's first input.
        """
        (last,) = deque(self.tokens(images, ids), 1)
        normed = self.net.norm(last)
        size = [n // self.patch for n in images.shape[-2:]]
        return Features(normed[:, 0], (normed[:, 1:].mT.unflatten(2, size),))

    def tokens(self, images: Tensor, ids: Sequence[float] | None = None) -> Iterator[Tensor]:
        patches = self.net.patch_embed(images, ids or CHANNEL_IDS[self.card.inputs[0].name])
        x = torch.cat((self.net.cls_token.expand(len(images), -1, -1), patches.flatten(2).mT), 1)
        x = x + self.positions(*patches.shape[-2:])
        for block in self.net.blocks:
            x = block(x)
            yield x
