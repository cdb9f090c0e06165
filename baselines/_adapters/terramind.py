"""The adapter of TerraMind."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import Standardise
from .._networks.terramind import PATCH, TerraMind
from .grids import common_size

# Mean and standard deviation of the pre-training images: Sentinel-2 L2A, reflectance x 1e4, and
# Sentinel-1 GRD, dB.
# Source: github:IBM/terratorch@85467a9 terratorch/models/backbones/terramind/model/
# terramind_register.py, v1_pretraining_mean and v1_pretraining_std.
NORMALISE = {
    "s2": Standardise(
        (
            1390.458, 1503.317, 1718.197, 1853.91, 2199.1, 2779.975, 2987.011, 3083.234, 3132.22,
            3162.988, 2424.884, 1857.648,
        ),
        (
            2106.761, 2141.107, 2038.973, 2134.138, 2085.321, 1889.926, 1820.257, 1871.918,
            1753.829, 1797.379, 1434.261, 1334.311,
        ),
    ),
    "s1": Standardise((-12.599, -20.293), (5.195, 5.890)),
}  # fmt: skip


class TerraMindModel(Model):
    """Sentinel-2, Sentinel-1 or both, of one date -> the mean of the last tokens, and their map."""

    def __init__(
        self, card: ModelCard, image: int, dim: int, depth: int, heads: int, gated: bool
    ) -> None:
        super().__init__(card)
        self.net = TerraMind(image // PATCH, dim, depth, heads, gated)

    def forward(self, batch: Batch) -> Features:
        common_size(self.card.name, batch.images.values())
        return self.extract({n: NORMALISE[n](x[:, 0]) for n, x in batch.images.items()})

    def extract(self, images: Mapping[str, Tensor]) -> Features:
        """Features of normalised images of one sensor or both, name -> [B, C, H, W]."""
        (last,) = deque(self.net.tokens(images), 1)
        pooled, height = last.mean(1), next(iter(images.values())).shape[-2] // PATCH
        return Features(pooled, (last.mT.reshape(*pooled.shape, height, -1),))

    def layers(self) -> Sequence[nn.Module]:
        return (self.net.embeddings, *self.net.blocks)
