"""The adapter of Clay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import Standardise
from .._networks.clay import Clay


class Platform(NamedTuple):
    """Sensor metadata that the network reads, and the normalisation of its images."""

    gsd: float  # metres a pixel
    waves: tuple[float, ...]  # micrometres; of radar what stood for them in pre-training
    normalise: Standardise


# Source: github:Clay-foundation/model@64313d9 claymodel/configs/metadata.yaml, of sentinel-2-l2a,
# sentinel-1-rtc (dB) and naip.
PLATFORMS = {
    "s2": Platform(
        10.0,
        (0.493, 0.56, 0.665, 0.704, 0.74, 0.783, 0.842, 0.865, 1.61, 2.19),
        Standardise(
            (1105.0, 1355.0, 1552.0, 1887.0, 2422.0, 2630.0, 2743.0, 2785.0, 2388.0, 1835.0),
            (1809.0, 1757.0, 1888.0, 1870.0, 1732.0, 1697.0, 1742.0, 1648.0, 1470.0, 1379.0),
        ),
    ),
    "s1": Platform(10.0, (3.5, 4.0), Standardise((-12.113, -18.673), (8.314, 8.017))),
    "hr": Platform(
        1.0, (0.65, 0.56, 0.48), Standardise((110.16, 115.41, 98.15), (47.23, 39.82, 35.43))
    ),
}


class ClayModel(Model):
    """Images of one sensor -> the class token, and the map of the last block."""

    def __init__(self, card: ModelCard, patch: int, dim: int, depth: int, heads: int) -> None:
        super().__init__(card)
        self.platform = PLATFORMS[card.inputs[0].name]
        self.net = Clay(patch, dim, depth, heads)

    def forward(self, batch: Batch) -> Features:
        (images,) = batch.images.values()
        return self.extract(self.platform.normalise(images[:, 0]))

    def extract(self, images: Tensor, about: Tensor | None = None) -> Features:
        """Features of normalised images [B, C, H, W]; about: see `Clay.forward`."""
        tokens = self.net(images, self.platform.waves, self.platform.gsd, about)
        size = [n // self.card.multiple for n in images.shape[-2:]]
        return Features(tokens[:, 0], (tokens[:, 1:].mT.unflatten(2, size),))

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        stem = nn.ModuleList((net.patch_embedding, nn.ParameterList((net.cls_token,))))
        return (stem, *net.layers)
