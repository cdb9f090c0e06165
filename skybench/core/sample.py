"""Samples, batches and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from skybench.core.sensors import Found

if TYPE_CHECKING:
    from torch import Tensor

Time = Literal["fuse", "keep"]


@dataclass(frozen=True)
class Boxes:
    """The objects of an image; an image may have none."""

    corners: Tensor  # [N, 4, 2] float32, (x, y) in pixels, in turn around the box
    labels: Tensor  # [N] int64
    difficult: Tensor  # [N] bool
    size: tuple[int, int] = (0, 0)  # height and width of the image in pixels


@dataclass(frozen=True)
class Sample:
    """One item. Time is always there: a single image has T = 1, a pair T = 2."""

    key: str  # the same in every run
    images: Mapping[str, Tensor]  # sensor -> [T, C, H, W], in the sensor's unit, stored dtype
    # class id (int) | classes [K] uint8, 0 or 1 | mask [H, W] uint8, 255 = ignore | masks
    # [T, H, W] | Boxes
    target: Any
    days: Mapping[str, Tensor] = field(default_factory=dict)  # sensor -> [T], since 1970-01-01
    lonlat: tuple[float, float] = (float("nan"), float("nan"))  # degrees, WGS 84


@dataclass(frozen=True)
class Batch:
    """Samples stacked; a short series is padded at its end, and `seen` is false there."""

    keys: tuple[str, ...]
    images: Mapping[str, Tensor]  # sensor -> [B, T, C, H, W]
    seen: Mapping[str, Tensor]  # sensor -> [B, T], bool
    days: Mapping[str, Tensor]  # sensor -> [B, T], -1 where unknown
    lonlat: Tensor  # [B, 2], NaN where unknown

    def select(self, found: Mapping[str, Found]) -> Self:
        """What `match` found, under the model's names, in its channel order and unit (float32)."""
        images = {}
        for name, f in found.items():
            scale, offset, _, highest = f.conversion
            converted = self.images[f.sensor][:, :, list(f.channels)].float() * scale + offset
            images[name] = converted if highest is None else converted.clamp(0, highest)
        seen = {name: self.seen[f.sensor] for name, f in found.items()}
        days = {name: self.days[f.sensor] for name, f in found.items()}
        return type(self)(self.keys, images, seen, days, self.lonlat)

    def at(self, date: int) -> Self:
        """One date alone, T = 1; a sensor with a single date gives that one."""

        def pick(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x[:, min(date, x.shape[1] - 1), None] for n, x in series.items()}

        return type(self)(
            self.keys, pick(self.images), pick(self.seen), pick(self.days), self.lonlat
        )

    def to(self, device: str) -> Self:
        """The same batch on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x.to(device, non_blocking=True) for n, x in tensors.items()}

        images, seen, days = move(self.images), move(self.seen), move(self.days)
        return type(self)(self.keys, images, seen, days, self.lonlat.to(device))


@dataclass(frozen=True)
class Features:
    """What a model gives for a batch."""

    pooled: Tensor  # [B, D]
    pyramid: tuple[Tensor, ...]  # [B, C_i, H / stride_i, W / stride_i], finest first


IGNORE = 255
