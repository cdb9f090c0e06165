"""The adapter of AnySat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from skybench.core import Batch, CannotRun, Features, ModelCard
from skybench.core.model import Model

from .._networks.anysat import AnySat
from .prithvi import moments
from .series import parts

if TYPE_CHECKING:
    from ..anysat import Arch

# Mean and standard deviation of PASTIS, one of the pre-training sets: reflectance x 1e4, and VV, VH
# and their ratio in dB. Source: fold 1 of its NORM_S2_patch.json and NORM_S1A_patch.json.
STATISTICS = {
    "s2": (
        (
            1165.939819, 1375.653442, 1429.219116, 1764.798828, 2719.273193, 3063.611816,
            3205.901855, 3319.109619, 2422.904297, 1639.370361,
        ),
        (
            1942.615601, 1881.923462, 1959.379883, 1867.223999, 1754.585083, 1769.404663,
            1784.860596, 1767.710083, 1458.963623, 1299.283325,
        ),
    ),
    "s1": ((-10.930951, -17.348515, 6.417512), (3.285966, 3.212952, 3.342108)),
}  # fmt: skip
LONGEST = 366  # dates of a part of a series: one a day, as nothing but memory limits it
JULY = 181  # the day, from 0, where no date is known


def days_of_year(days: Tensor) -> Tensor:
    """Days of the year, from 0, of days since 1970-01-01; 1 July where the day is -1 (unknown)."""
    return (moments(days)[..., 1] - 1).nan_to_num(JULY)


def normalise(name: str, x: Tensor) -> Tensor:
    """[..., C, H, W] in the input's unit -> (x - mean) / std; of Sentinel-1 with VV / VH as third.

    In dB the ratio is a difference.
    """
    if name == "s1":
        x = torch.cat((x, x[..., :1, :, :] - x[..., 1:2, :, :]), -3)
    mean, std = (x.new_tensor(s)[:, None, None] for s in STATISTICS[name])
    return (x - mean) / std


class AnySatModel(Model):
    """Series of Sentinel-2, Sentinel-1 or both -> the class token, and a map of patches' tokens."""

    def __init__(self, card: ModelCard, arch: Arch) -> None:
        super().__init__(card)
        self.patch = arch.patch_size
        self.net = AnySat(arch.dim, arch.depth, arch.heads)

    def forward(self, batch: Batch) -> Features:
        images = {name: normalise(name, x) for name, x in batch.images.items()}
        sizes = {tuple(x.shape[-2:]) for x in images.values()}
        if len(sizes) > 1:
            raise CannotRun(f"anysat reads sensors on one grid, but got sizes {sorted(sizes)}")
        when = {name: days_of_year(batch.days[name]) for name in images}
        (size,) = sizes
        like = next(iter(images.values()))
        pooled = like.new_zeros(len(like), self.card.dim)
        level = like.new_zeros(*pooled.shape, *(n // self.patch for n in size))
        for part in parts({n: batch.seen[n] for n in images}, LONGEST):
            found = self.extract(part.pick(images), part.pick(when))
            pooled = pooled.index_add(0, part.rows, part.share * found.pooled.to(like))
            level = level.index_add(0, part.rows, part.share * found.pyramid[0].to(like))
        return Features(pooled, (level,))

    def extract(self, images: Mapping[str, Tensor], days: Mapping[str, Tensor]) -> Features:
        """Features of normalised images that every sample has whole; see `AnySat.forward`."""
        pooled, level = self.net(images, days, self.patch)
        return Features(pooled, (level,))

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layers()
