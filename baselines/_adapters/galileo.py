"""The adapter of Galileo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.band_groups import GROUPS, NIR, RED
from .._families.constants import per_channel
from .._networks.galileo import BandGroup, Galileo, Tokens
from .dates import months
from .grids import common_size

# Mean and standard deviation of the pre-training data, in dB and reflectance x 1e4.
# Source: github:nasaharvest/galileo@0f0b5b9 config/normalization.json, entry "13".
MEAN_S1, STD_S1 = (-11.728724, -18.855582), (4.887146, 5.730270)
MEAN_S2 = (
    1395.340873, 1338.402692, 1343.098838, 1543.860798, 2186.202207,
    2525.093285, 2410.337719, 2750.285465, 2234.911100, 1474.531127,
)  # fmt: skip
STD_S2 = (
    917.704144, 913.298842, 1092.678724, 1047.220608, 1048.010116,
    1143.690303, 1098.979178, 1204.472755, 1145.977406, 980.242984,
)  # fmt: skip
STATISTICS = {
    "s1": (MEAN_S1, STD_S1),
    "s2": (MEAN_S2, STD_S2),
    "s2_rgb": (MEAN_S2[:3], STD_S2[:3]),
}
JUNE = 5  # where no date is known; the authors' DEFAULT_MONTH (src/data/utils.py)
# Dates read together; longer series are read in runs and the tokens of all runs averaged. The
# model was trained with 12 at most, and attention costs the square of the number of tokens.
RUN = 12


def normalise(name: str, x: Tensor) -> Tensor:
    """[B, T, C, H, W] in the input's unit -> (x - (mean - 2 std)) / (4 std)."""
    mean, std = (per_channel(s, x) for s in STATISTICS[name])
    return (x - mean + 2 * std) / (4 * std)


def ndvi(s2: Tensor) -> Tensor:
    """NDVI of reflectances, [B, T, 1, H, W] in -1..1; 0 where red and near infrared are 0."""
    red, nir = s2[:, :, RED : RED + 1].clamp(min=0), s2[:, :, NIR : NIR + 1].clamp(min=0)
    return (nir - red) / (nir + red).clamp(min=1e-6)


class GalileoModel(Model):
    """Sentinel-2 (all bands or RGB) and Sentinel-1 series -> mean token, and a mean per patch."""

    def __init__(self, card: ModelCard, depth: int, heads: int) -> None:
        super().__init__(card)
        self.net = Galileo(card.dim, depth, heads)

    def forward(self, batch: Batch) -> Features:
        names = [n for n in batch.images if not (n == "s2_rgb" and "s2" in batch.images)]
        common_size(self.card.name, (batch.images[n] for n in names))
        longest = max(batch.images[n].shape[1] for n in names)
        patch = self.card.levels[0][1]
        runs = [
            self.net(self._groups(batch, names, slice(start, start + RUN)), patch)
            for start in range(0, longest, RUN)
        ]
        return self.average(runs)

    @staticmethod
    def average(runs: Iterable[Mapping[str, Tokens]]) -> Features:
        """Average all seen space-time tokens over the image, and over each patch (one level)."""
        tokens = [t for run in runs for t in run.values()]  # values [B, T, h, w, D]
        sums = torch.stack([(t.values * t.seen[..., None]).sum(1) for t in tokens]).sum(0)
        counts = torch.stack([t.seen.sum(1) for t in tokens]).sum(0)[..., None]  # [B, h, w, 1]
        pooled = sums.sum((1, 2)) / counts.sum((1, 2))
        return Features(pooled, ((sums / counts).permute(0, 3, 1, 2),))

    def _groups(self, batch: Batch, names: Sequence[str], dates: slice) -> dict[str, BandGroup]:
        """Normalised band groups of a range of dates; sensors without dates in it are left out."""
        groups: dict[str, BandGroup] = {}
        for name in names:
            x = batch.images[name][:, dates]
            if not x.shape[1]:
                continue
            when = (months(batch.days[name][:, dates], JUNE), batch.seen[name][:, dates])
            normed = normalise(name, x)
            groups |= {g: BandGroup(normed[:, :, c], *when) for g, c in GROUPS[name].items()}
            if name == "s2":
                groups["NDVI"] = BandGroup(ndvi(x), *when)  # as it is: the authors do not scale it
        return groups

    def layers(self) -> Sequence[nn.Module]:
        net = self.net
        parts = (net.space_time_embed, net.space_embed, net.time_embed, net.static_embed)
        codes = (
            *(net.s_t_channel_embed, net.sp_channel_embed),
            *(net.t_channel_embed, net.st_channel_embed),
        )
        return (nn.ModuleList((*parts, nn.ParameterList(codes))), *net.blocks)
