"""The adapter of OlmoEarth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.constants import per_channel
from .._networks.olmoearth import DATES, OlmoEarth, Series
from .dates import months
from .grids import common_size
from .series import series_parts

# Mean and standard deviation of the pre-training data, reflectance x 1e4 and dB, in the model's
# order. Source: github:allenai/olmoearth_pretrain@27a08f8
# olmoearth_pretrain/data/norm_configs/computed.json, sentinel2_l2a and sentinel1.
STATISTICS = {
    "s2": (
        (
            1188.941257, 1407.773911, 1513.057388, 2755.481305, 1890.989304, 2483.781232,
            2722.728249, 2885.570263, 2562.852608, 1914.138325, 1115.849439, 3269.812554,
        ),
        (
            1859.192397, 1727.738741, 1740.775730, 1612.256570, 1754.732039, 1622.117272,
            1621.822617, 1611.358752, 1441.547183, 1328.891438, 1955.699179, 2651.088425,
        ),
    ),
    "s1": ((-11.648991, -17.745436), (10.840350, 10.216275)),
}  # fmt: skip
JULY = 6  # where no date is known; olmoearth_pretrain/evals/datasets/geobench_dataset.py


def normalise(name: str, x: Tensor) -> Tensor:
    """[..., C, H, W] in the input's unit -> (x - (mean - 2 std)) / (4 std); C may be a prefix."""
    mean, std = (per_channel(s[: x.shape[-3]], x) for s in STATISTICS[name])
    return (x - mean + 2 * std) / (4 * std)


class OlmoEarthModel(Model):
    """Series of Sentinel-2, Sentinel-1 or both -> the mean of all tokens, and of each patch's.

    A longer series than the network was trained with is read in parts, which are averaged.
    """

    def __init__(self, card: ModelCard, dim: int, depth: int, heads: int, patch_size: int) -> None:
        super().__init__(card)
        self.patch = patch_size
        self.net = OlmoEarth(dim, depth, heads)

    def forward(self, batch: Batch) -> Features:
        inputs: dict[str, str] = {}  # by sensor; of alternatives that with most bands
        for given in self.card.inputs:
            if given.name in batch.images:
                inputs.setdefault(given.name.partition("_")[0], given.name)
        images = {name: normalise(name, batch.images[i]) for name, i in inputs.items()}
        size = common_size(self.card.name, images.values())
        when = {name: months(batch.days[i], JULY) for name, i in inputs.items()}
        count = len(batch.keys)
        shape = (count, self.card.dim, *(n // self.patch for n in size))
        level = torch.zeros(shape, device=next(iter(images.values())).device)
        for part in series_parts({n: batch.seen[i] for n, i in inputs.items()}, DATES):
            chosen, dates = part.pick(images), part.pick(when)
            means = self.extract({n: Series(x, dates[n]) for n, x in chosen.items()}).pyramid[0]
            level = level.index_add(0, part.rows, part.share * means.to(level))
        return Features(level.mean((2, 3)), (level,))

    def extract(self, sensors: Mapping[str, Series]) -> Features:
        """Features of normalised series without unseen dates."""
        tokens = [t.flatten(1, 2) for t in self.net(sensors, self.patch).values()]
        level = torch.cat(tokens, 1).mean(1).permute(0, 3, 1, 2)
        return Features(level.mean((2, 3)), (level,))

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        stem = nn.ModuleList((net.patch_embed, net.channel_embed))
        return (stem, *net.blocks)
