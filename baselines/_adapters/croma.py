"""The adapter of CROMA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.constants import per_channel
from .._networks.croma import PATCH, Croma
from .grids import common_size

# Mean and standard deviation of SSL4EO-S12, the pre-training set: Sentinel-2 L2A, reflectance
# x 1e4, and Sentinel-1 (VV, VH), dB.
# Source: github:zhu-xlab/SSL4EO-S12@1dc0c83 src/benchmark/pretrain_ssl/datasets/SSL4EO/
# ssl4eo_dataset.py, S2A_MEAN, S2A_STD, S1_MEAN, S1_STD.
STATISTICS = {
    "s2": (
        (
            752.40087073, 884.29673756, 1144.16202635, 1297.47289228, 1624.90992062, 2194.6423161,
            2422.21248945, 2517.76053101, 2581.64687018, 2645.51888987, 2368.51236873,
            1805.06846033,
        ),
        (
            1108.02887453, 1155.15170768, 1183.6292542, 1368.11351514, 1370.265037, 1355.55390699,
            1416.51487101, 1474.78900051, 1439.3086061, 1582.28010962, 1455.52084939,
            1343.48379601,
        ),
    ),
    "s1": ((-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
}  # fmt: skip


def normalise(name: str, x: Tensor) -> Tensor:
    """[B, C, H, W] in the input's unit -> 0..1 in 255 steps, for mean - 2 std .. mean + 2 std.

    Rounded down, as the authors' conversion to 8 bits does.
    """
    mean, std = (per_channel(s, x) for s in STATISTICS[name])
    return ((x - mean + 2 * std) / (4 * std) * 255).clamp(0, 255).floor() / 255


class CromaModel(Model):
    """Sentinel-2, Sentinel-1 or both, of one date -> a vector, and a map of stride 8.

    One sensor alone: its own encoder, with CROMA's MLP on the mean token. Both: the joint encoder,
    and the mean of its tokens. All have the same width.
    """

    def __init__(self, card: ModelCard, depth: int) -> None:
        super().__init__(card)
        self.net = Croma(card.dim, depth)

    def forward(self, batch: Batch) -> Features:
        images = {name: normalise(name, x[:, 0]) for name, x in batch.images.items()}
        common_size(self.card.name, images.values())
        return self.extract(images)

    def extract(self, images: Mapping[str, Tensor]) -> Features:
        """Features of normalised images of one sensor or both, name -> [B, C, H, W]."""
        pooled, tokens = self.net(images)
        height = next(iter(images.values())).shape[-2] // PATCH
        return Features(pooled, (tokens.mT.reshape(*pooled.shape, height, -1),))

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        stem = nn.ModuleList((net.s2_encoder.linear_input, net.s1_encoder.linear_input))
        optical, radar = net.s2_encoder.transformer, net.s1_encoder.transformer
        # Each layer of the radar encoder is paired with every second layer of the optical encoder.
        pairs = [
            nn.ModuleList((layer, radar.layers[i // 2]) if i % 2 else (layer,))
            for i, layer in enumerate(optical.layers)
        ]
        pairs[-1].extend((optical.norm_out, radar.norm_out))
        return (stem, *pairs, *net.joint_encoder.layers)
