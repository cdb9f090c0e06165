"""ResNets without torch: their settings, cards, published keys, and how images are scaled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skybench.core import ModelCard

from .constants import per_channel

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ResNetArch:
    """Settings of a ResNet; the defaults are those of ResNet-50."""

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)  # of the four stages
    bottleneck: bool = True
    width: int = 64  # of the first stage, before a bottleneck's factor of 4
    channels: int = 3  # of the input

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the four stages."""
        first = 4 * self.width if self.bottleneck else self.width
        return tuple((first << i, 4 << i) for i in range(len(self.blocks)))


RESNET50 = ResNetArch()
RESNET18 = ResNetArch(blocks=(2, 2, 2, 2), bottleneck=False)
TINY_RESNET50 = ResNetArch(blocks=(1, 1, 1, 1), width=8)
TINY_RESNET18 = ResNetArch(blocks=(1, 1, 1, 1), bottleneck=False, width=8)


def resnet_card(card: ModelCard, arch: ResNetArch) -> ModelCard:
    """Return the card with the feature sizes of these settings."""
    return dataclasses.replace(card, dim=arch.levels[-1][0], levels=arch.levels)


@dataclass(frozen=True)
class Standardise:
    """Standardises each channel, [B, C, H, W] -> (x - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, x: Tensor) -> Tensor:
        mean, std = (per_channel(s, x) for s in (self.mean, self.std))
        return (x - mean) / std


@dataclass(frozen=True)
class StretchToBytes:
    """Stretches low..high of each channel to the integers 0..255, [B, C, H, W], then calls `after`.

    Values outside are clipped; others are rounded down, as numpy's astype("uint8") does.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    after: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        low, high = (per_channel(s, x) for s in (self.low, self.high))
        return self.after(((x - low) / (high - low) * 255).clamp(0, 255).floor())


IMAGENET = Standardise((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # of 0..255
UNIT = Standardise((0.0,), (255.0,))  # 0..255 -> 0..1


def two_sigma_stretch(mean: Sequence[float], std: Sequence[float]) -> StretchToBytes:
    """Stretch mean - 2 std .. mean + 2 std of each channel to bytes, then to 0..1."""
    pairs = tuple(zip(mean, std, strict=True))
    return StretchToBytes(
        tuple(m - 2 * s for m, s in pairs), tuple(m + 2 * s for m, s in pairs), UNIT
    )


PARTS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
# Where they are in a Sequential of torchvision's modules; 2 and 3 are ReLU and pooling.
SEQUENTIAL = dict(zip(("0", "1", "4", "5", "6", "7"), PARTS, strict=True))
LAST = {(512, 256, 3, 3): "resnet18", (512, 1024, 1, 1): "resnet50"}  # first of the last stage


def resnet_keys(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Map a published ResNet's keys to ours: torchvision's names below "net.".

    prefixes: possible prefixes of the network's keys, with or without "module."; the first that
    occurs is stripped. Both torchvision's names and the indices of a Sequential are recognised.
    Keys outside the network are dropped: heads, queues, momentum encoders.
    """
    known = [module + p for p in (*prefixes, "") for module in ("module.", "")]
    prefix = next((p for p in known if any(k.startswith(p) for k in state)), "")
    mapped = {}
    for key, tensor in state.items():
        part, _, rest = key.removeprefix(prefix).partition(".")
        part = SEQUENTIAL.get(part, part)
        if key.startswith(prefix) and part in PARTS:
            mapped[f"net.{part}.{rest}"] = tensor
    return mapped


def identify_resnet(own: Mapping[str, Tensor]) -> str:
    """Name the network of a state dict with our keys: resnet18, resnet50, or "" for another."""
    first = own.get("net.layer4.0.conv1.weight")
    return "" if first is None else LAST.get((*first.shape,), "")
