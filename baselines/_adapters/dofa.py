"""The adapter of DOFA, and what Copernicus-FM has in common with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skybench.core import Batch, Features, ModelCard

from .._families.constants import constant
from .._families.resnet import IMAGENET, Standardise
from .._families.vit import ViTArch
from .._networks.dynamic import CODE, DynamicPatches, sincos_codes
from .satlas import normalise as satlas
from .vit import Normalise, ViT

# Mean and standard deviation of the pre-training images, in bytes.
# Source: github:zhu-xlab/DOFA@2ba9d35 pretraining/datasets/ofall_dataset.py
MEAN_S2 = (
    114.1099739, 114.81779093, 126.63977424, 84.33539309, 97.84789168, 103.94461911, 101.435633,
    72.32804172, 56.66528851,
)  # fmt: skip
STD_S2 = (
    77.84352553, 69.96844919, 67.42465279, 64.57022983, 61.72545487, 61.34187099, 60.29744676,
    47.88519516, 42.55886798,
)  # fmt: skip


@dataclass(frozen=True)
class SatlasBytes:
    """Converts [B, C, H, W] from the input's unit to SatlasPretrain's bytes, then standardises."""

    sensor: str  # SatLas's name
    after: Standardise

    def __call__(self, x: Tensor) -> Tensor:
        return self.after((255 * satlas(self.sensor, x)).floor())


NORMALISE: Mapping[str, Normalise] = {
    "s2": SatlasBytes("sentinel2_ms", Standardise(MEAN_S2, STD_S2)),
    "s2_rgb": SatlasBytes("sentinel2_rgb", Standardise(MEAN_S2[:3], STD_S2[:3])),
    "s1": SatlasBytes(
        "sentinel1", Standardise((166.36275909, 88.45542715), (64.83126309, 43.07350145))
    ),
    "hr": IMAGENET,
}
# Micrometres; of Sentinel-1 what stood for it in pre-training (github.com/torchgeo/torchgeo/
# issues/3931), of the others the authors' README.md.
RGB = (0.665, 0.56, 0.49)
WAVES = {
    "s2": (*RGB, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19),
    "s2_rgb": RGB,
    "s1": (3.75, 3.75),
    "hr": RGB,
}


class DynamicPatchViT(ViT):
    """A masked autoencoder's encoder with patch embeddings of `DynamicPatches`.

    `pooled` is the layer-normed mean of the last block's patch tokens; the map holds these tokens
    without a norm.
    """

    def through(self, patches: Tensor, more: Tensor | float = 0.0) -> Iterator[Tensor]:
        """Yield the tokens after each block; patches: [B, D, h, w]; more: added to every token."""
        x = torch.cat((self.net.cls_token.expand(len(patches), -1, -1), patches.flatten(2).mT), 1)
        x = x + (self.positions(*patches.shape[-2:]) + more)
        for block in self.net.blocks:
            x = block(x)
            yield x

    def features(self, patches: Tensor, more: Tensor | float = 0.0) -> Features:
        """Features of patches; see `through`."""
        (last,) = deque(self.through(patches, more), 1)
        places = last[:, 1:].mT
        return Features(self.net.norm(places.mean(2)), (places.reshape_as(patches),))


class DOFA(DynamicPatchViT):
    """DOFA for Sentinel-2, its RGB bands, Sentinel-1 or RGB images: the card's inputs."""

    def __init__(self, card: ModelCard, arch: ViTArch, swapped: bool) -> None:
        super().__init__(card, arch, NORMALISE)
        self.net.patch_embed = DynamicPatches(arch.dim, arch.patch, swapped)

    def forward(self, batch: Batch) -> Features:
        name = next(s.name for s in self.card.inputs if s.name in batch.images)
        return self.extract(self.normalise[name](batch.images[name][:, 0]), WAVES[name])

    def extract(self, images: Tensor, waves: Sequence[float] | None = None) -> Features:
        """Features of normalised images [B, C, H, W] with these wavelengths in micrometres.

        waves: None means the wavelengths of the card's first input.
        """
        return self.features(self.patches(images, waves))

    def tokens(self, images: Tensor, waves: Sequence[float] | None = None) -> Iterator[Tensor]:
        yield from self.through(self.patches(images, waves))

    def patches(self, images: Tensor, waves: Sequence[float] | None = None) -> Tensor:
        """Embedded patches [B, D, h, w]; see `extract`."""
        wanted = constant(waves or WAVES[self.card.inputs[0].name], images)
        patches: Tensor = self.net.patch_embed(images, sincos_codes(1000 * wanted, CODE))
        return patches
