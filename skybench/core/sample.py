"""Samples, batches and features: what datasets give, models read, and heads read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from skybench.core.sensors import BandMapping

if TYPE_CHECKING:
    from torch import Tensor

Time = Literal["fuse", "keep"]


@dataclass(frozen=True)
class Boxes:
    """The annotated objects of an image as oriented boxes; there may be none."""

    corners: Tensor  # [N, 4, 2] float32, (x, y) in pixels, in order around the box
    labels: Tensor  # [N] int64
    difficult: Tensor  # [N] bool
    size: tuple[int, int] = (0, 0)  # height and width of the image in pixels
    crowd: Tensor | None = None  # [N] bool, regions of many objects (COCO's iscrowd); None: none

    @property
    def crowds(self) -> Tensor:
        """Return which boxes are regions of many objects, bool [N]."""
        return self.difficult & False if self.crowd is None else self.crowd

    def where(self, kept: Tensor) -> Self:
        """Return some of the boxes; kept: bool [N], or indices."""
        crowd = None if self.crowd is None else self.crowd[kept]
        parts = self.corners[kept], self.labels[kept], self.difficult[kept]
        return type(self)(*parts, self.size, crowd)


@dataclass(frozen=True)
class Sample:
    """One sample of a dataset. The time axis always exists: T = 1 for an image, 2 for a pair."""

    key: str  # unique in the dataset, and the same in every run
    images: Mapping[str, Tensor]  # sensor -> [T, C, H, W], in the sensor's unit, stored dtype
    # class id (int) | classes [K] uint8, 0 or 1 | mask [H, W] uint8, 255 = ignore | masks
    # [T, H, W] | Boxes
    target: Any
    days: Mapping[str, Tensor] = field(default_factory=dict)  # sensor -> [T], since 1970-01-01
    lonlat: tuple[float, float] = (float("nan"), float("nan"))  # degrees, WGS 84


@dataclass(frozen=True)
class Batch:
    """A batch of samples; shorter series are padded at the end, where `seen` is false."""

    keys: tuple[str, ...]
    images: Mapping[str, Tensor]  # sensor -> [B, T, C, H, W]
    seen: Mapping[str, Tensor]  # sensor -> [B, T], bool
    days: Mapping[str, Tensor]  # sensor -> [B, T], -1 where unknown
    lonlat: Tensor  # [B, 2], NaN where unknown

    def select(self, mapping: Mapping[str, BandMapping]) -> Self:
        """Return the images as a model reads them, by its inputs' names, channels and units.

        mapping: of `match`. The images are float32.
        """
        images = {}
        for name, f in mapping.items():
            scale, offset, _, highest = f.conversion
            x = self.images[f.sensor]
            # Each of these makes a copy, which of a small network is a part of its time.
            if [*f.channels] != [*range(x.shape[2])]:
                x = x[:, :, list(f.channels)]
            x = x.float()
            if (scale, offset) != (1, 0):
                x = x * scale + offset
            images[name] = x if highest is None else x.clamp(0, highest)
        seen = {name: self.seen[f.sensor] for name, f in mapping.items()}
        days = {name: self.days[f.sensor] for name, f in mapping.items()}
        return type(self)(self.keys, images, seen, days, self.lonlat)

    def at(self, date: int) -> Self:
        """Return the batch of one date, T = 1; sensors with a single date repeat it."""

        def pick(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x[:, min(date, x.shape[1] - 1), None] for n, x in series.items()}

        return type(self)(
            self.keys, pick(self.images), pick(self.seen), pick(self.days), self.lonlat
        )

    def as_samples(self, dates: Sequence[int]) -> Self:
        """Return a batch in which each of the dates is a sample with T = 1, date after date."""
        import torch

        each = [self.at(date) for date in dates]

        def join(series: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
            return {n: torch.cat([one[n] for one in series]) for n in series[0]}

        images, seen, days = (
            join([getattr(one, name) for one in each]) for name in ("images", "seen", "days")
        )
        lonlat = self.lonlat.repeat(len(each), 1)
        return type(self)(self.keys * len(each), images, seen, days, lonlat)

    def at_samples(self, indices: Sequence[int]) -> Self:
        """Return some of the samples, in the given order; one may be there several times."""

        def pick(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x[list(indices)] for n, x in series.items()}

        images, seen, days = pick(self.images), pick(self.seen), pick(self.days)
        keys = tuple(self.keys[i] for i in indices)
        return type(self)(keys, images, seen, days, self.lonlat[list(indices)])

    def trimmed(self) -> Self:
        """Return the batch without the dates at the end of series that no sample has."""
        ends = {n: max(1, int(s.any(0).sum())) for n, s in self.seen.items()}

        def cut(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x[:, : ends[n]] for n, x in series.items()}

        images, seen, days = cut(self.images), cut(self.seen), cut(self.days)
        return type(self)(self.keys, images, seen, days, self.lonlat)

    def to(self, device: str) -> Self:
        """Return the batch on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {n: x.to(device, non_blocking=True) for n, x in tensors.items()}

        images, seen, days = move(self.images), move(self.seen), move(self.days)
        lonlat = self.lonlat.to(device, non_blocking=True)
        return type(self)(self.keys, images, seen, days, lonlat)


@dataclass(frozen=True)
class Features:
    """A model's features of a batch: one vector an image, and a feature pyramid."""

    pooled: Tensor  # [B, D]
    pyramid: tuple[Tensor, ...]  # [B, C_i, H / stride_i, W / stride_i], finest first


IGNORE = 255
