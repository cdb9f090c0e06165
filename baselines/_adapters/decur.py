"""The adapter of DeCUR: a network for each sensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from skybench.core import Batch, CannotRun, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import ResNetArch, two_sigma_stretch
from .._families.vit import ViTArch
from .._networks.deformable import DeformableAttention
from .._networks.precision import wide
from .resnet import Normalise, ResNet, stages, stem
from .vit import ViT

# Mean and standard deviation of SSL4EO-S12 (of Sentinel-2: level 1C), in reflectance x 1e4 and dB.
# Source: github:zhu-xlab/DeCUR@f190e9a src/pretrain/datasets/SSL4EO/ssl4eo_dataset.py
STATISTICS = {
    "s2": (
        (
            1605.57504906, 1390.78157673, 1314.8729939, 1363.52445545, 1549.44374991,
            2091.74883118, 2371.7172463, 2299.90463006, 2560.29504086, 830.06605044,
            22.10351321, 2177.07172323, 1524.06546312,
        ),
        (
            786.78685367, 850.34818441, 875.06484736, 1138.84957046, 1122.17775652,
            1161.59187054, 1274.39184232, 1248.42891965, 1345.52684884, 577.31607053,
            51.15431158, 1336.09932639, 1136.53823676,
        ),
    ),
    "s1": ((-12.54847273, -20.19237134), (5.25697717, 5.91150917)),
}  # fmt: skip
CIRRUS = 10  # channel of B10


def without_cirrus(x: Tensor) -> Tensor:
    """Insert zeros for B10, [B, 12, H, W] -> [B, 13, H, W], as in the authors' BigEarthNet."""
    x = two_sigma_stretch(*(s[:CIRRUS] + s[CIRRUS + 1 :] for s in STATISTICS["s2"]))(x)
    return torch.cat((x[:, :CIRRUS], torch.zeros_like(x[:, :1]), x[:, CIRRUS:]), 1)


NORMALISE: Mapping[str, Mapping[str, Normalise]] = {
    "s2": {"s2": two_sigma_stretch(*STATISTICS["s2"]), "s2_l2a": without_cirrus},
    "s1": {"s1": two_sigma_stretch(*STATISTICS["s1"])},
}


def sensor_of(name: str) -> str:
    """Return the sensor of an input name: "s2" for both "s2" and "s2_l2a"."""
    return name.partition("_")[0]


class AttentionResNet(ResNet):
    """A ResNet with residual deformable attention after each of its last two stages."""

    # Stage -> heads, stride, kernel, and the side of its map at 224 pixels.
    ATTENTION: Mapping[int, tuple[int, int, int, int]] = {2: (8, 2, 5, 14), 3: (16, 1, 3, 7)}

    def __init__(
        self, card: ModelCard, arch: ResNetArch, normalise: Mapping[str, Normalise]
    ) -> None:
        super().__init__(card, arch, normalise)
        self.attention = nn.ModuleDict(
            {
                f"layer{stage + 1}": DeformableAttention(arch.levels[stage][0], *settings)
                for stage, settings in self.ATTENTION.items()
            }
        )

    def extract(self, images: Tensor) -> Features:
        x = stem(self.net, images)
        maps = []
        for stage, blocks in enumerate(stages(self.net)):
            x = blocks(x)
            if stage in self.ATTENTION:
                x = x + self.attention[f"layer{stage + 1}"](x)
            maps.append(x)
        return Features(wide(x).mean((2, 3)), tuple(maps))

    def layers(self) -> Sequence[nn.Module]:
        last = len(self.net.layer4)
        plain = super().layers()
        middle, top = self.attention.values()
        return (*plain[:-last], middle, *plain[-last:], top)


def build_branch(
    card: ModelCard, net: ResNetArch | ViTArch, attention: bool, sensor: str
) -> ResNet | ViT:
    """Build the network of one sensor with fresh weights."""
    card = dataclasses.replace(
        card, inputs=tuple(s for s in card.inputs if sensor_of(s.name) == sensor)
    )
    normalise = NORMALISE[sensor]
    channels = len(STATISTICS[sensor][0])
    if isinstance(net, ViTArch):
        return ViT(card, dataclasses.replace(net, channels=channels), normalise)
    kind = AttentionResNet if attention else ResNet
    return kind(card, dataclasses.replace(net, channels=channels), normalise)


class DeCUR(Model):
    """Sentinel-1, Sentinel-2 or both -> the features of the given sensors, concatenated."""

    def __init__(
        self,
        card: ModelCard,
        sensors: Sequence[str],
        net: ResNetArch | ViTArch,
        attention: bool,
    ) -> None:
        super().__init__(card)
        self.nets = nn.ModuleDict({s: build_branch(card, net, attention, s) for s in sensors})

    def forward(self, batch: Batch) -> Features:
        sizes = sorted({tuple(x.shape[-2:]) for x in batch.images.values()})
        if len(sizes) > 1:
            raise CannotRun(f"{self.card.name} stacks sensors of one grid, but got sizes {sizes}")
        given = {sensor_of(name) for name in batch.images}
        each: list[Features] = [net(batch) for sensor, net in self.nets.items() if sensor in given]
        maps = zip(*(f.pyramid for f in each), strict=True)
        return Features(
            torch.cat([f.pooled for f in each], 1), tuple(torch.cat(level, 1) for level in maps)
        )

    def levels_of(self, inputs: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        given = len({sensor_of(name) for name in inputs})
        return tuple((c // len(self.nets) * given, stride) for c, stride in self.card.levels)

    def layers(self) -> Sequence[nn.Module]:
        each = [cast(Model, net).layers() for net in self.nets.values()]
        return tuple(nn.ModuleList(together) for together in zip(*each, strict=True))
