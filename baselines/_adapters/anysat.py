"""The adapter of AnySat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.constants import per_channel
from .._networks.anysat import AnySat
from .grids import common_size
from .prithvi import year_and_day
from .series import series_parts

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
LONGEST = 366  # dates per part of a series: one a day; only memory limits it
JULY = 181  # the day, from 0, where no date is known


def days_of_year(days: Tensor) -> Tensor:
    """Days since 1970-01-01 -> day of the year, counted from 0; -1 (unknown) becomes 1 July."""
    return (year_and_day(days)[..., 1] - 1).nan_to_num(JULY)


def normalise(name: str, x: Tensor) -> Tensor:
    """[..., C, H, W] in the input's unit -> (x - mean) / std; Sentinel-1 gets VV / VH as a third.

    In dB the ratio is a difference.
    """
    if name == "s1":
        x = torch.cat((x, x[..., :1, :, :] - x[..., 1:2, :, :]), -3)
    mean, std = (per_channel(s, x) for s in STATISTICS[name])
    return (x - mean) / std


class AnySatModel(Model):
    """Series of Sentinel-2, Sentinel-1 or both -> the class token, and a map of patch tokens."""

    def __init__(self, card: ModelCard, dim: int, depth: int, heads: int, patch_size: int) -> None:
        super().__init__(card)
        self.patch = patch_size
        self.net = AnySat(dim, depth, heads)

    def forward(self, batch: Batch) -> Features:
        images = {name: normalise(name, x) for name, x in batch.images.items()}
        size = common_size(self.card.name, images.values())
        when = {name: days_of_year(batch.days[name]) for name in images}
        like = next(iter(images.values()))
        pooled = like.new_zeros(len(like), self.card.dim)
        level = like.new_zeros(*pooled.shape, *(n // self.patch for n in size))
        for part in series_parts({n: batch.seen[n] for n in images}, LONGEST):
            features = self.extract(part.pick(images), part.pick(when))
            pooled = pooled.index_add(0, part.rows, part.share * features.pooled.to(like))
            level = level.index_add(0, part.rows, part.share * features.pyramid[0].to(like))
        return Features(pooled, (level,))

    def extract(self, images: Mapping[str, Tensor], days: Mapping[str, Tensor]) -> Features:
        """Features of normalised images without unseen dates; see `AnySat.forward`."""
        pooled, level = self.net(images, days, self.patch)
        return Features(pooled, (level,))

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layer_groups()
