"""Pooled features, standardised and read by chunks on a device, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from skybench.training.fit import divisor

CHUNK = {"cpu": 2**21, "cuda": 2**28}  # bytes of features in one product: of a cache; of memory
RESIDENT = {"cpu": 2**30, "cuda": 2**33}  # bytes of features of which a copy is kept


class Scale(NamedTuple):
    """Mean and divisor of each feature, [D] float32."""

    mean: Tensor
    divisor: Tensor


def fits(x: Tensor, device: str) -> bool:
    """Whether features are few enough for a copy in the memory of a device."""
    return x.numel() * x.element_size() <= RESIDENT[torch.device(device).type]


@dataclass(frozen=True)
class FeatureRows:
    """Features [N, D], float32, on any device; iterated by chunks, each with its slice of rows.

    Chunks are on `device`. With a scale they are standardised when they are read, so that a memory
    map is never copied whole.
    """

    x: Tensor
    device: str = "cpu"
    scale: Scale | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def width(self) -> int:
        """The number of features of a row, D."""
        return self.x.shape[1]

    @property
    def chunks(self) -> list[slice]:
        """The rows of each chunk."""
        many = max(64, CHUNK[torch.device(self.device).type] // (4 * self.width))
        return [slice(s, min(s + many, len(self))) for s in range(0, len(self), many)]

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        for rows in self.chunks:
            part = self.x[rows].to(self.device)
            yield rows, part if self.scale is None else (part - self.scale[0]) / self.scale[1]

    def standardised(self) -> FeatureRows:
        """Return the same features with their own scale; see `skybench.training.fit.divisor`."""
        # In float32 the mean of a constant column may differ from its value.
        mean = self._mean(lambda part: part.sum(0, dtype=torch.float64)).float()
        square = self._mean(lambda part: (part - mean).square().sum(0, dtype=torch.float64))
        return replace(self, scale=Scale(mean, divisor(mean, square.sqrt().float())))

    def _mean(self, total: Callable[[Tensor], Tensor]) -> Tensor:
        # In place: small results kept between the chunks would scatter the heap to twice the data.
        whole = torch.zeros(self.width, dtype=torch.float64, device=self.device)
        for _, part in self:
            whole += total(part)
        return whole / len(self)

    def sampled(self, step: int) -> Tensor:
        """Return a copy of the first of every `step` rows of each chunk, [n, D] on the device."""
        found = torch.empty(sum(len(range(c.start, c.stop, step)) for c in self.chunks), self.width)
        found, done = found.to(self.device), 0
        for _, part in self:
            some = part[::step]
            found[done : done + len(some)] = some
            done += len(some)
        return found

    def resident(self) -> FeatureRows:
        """Return them with all standardised rows in the device's memory, where these are few."""
        if not fits(self.x, self.device):
            return self
        kept = torch.empty_like(self.x, device=self.device)
        for rows, part in self:
            kept[rows] = part
        return replace(self, x=kept, scale=None)

    def in_row_space(self) -> tuple[FeatureRows, Tensor]:
        """Return N coordinates of each of N rows, and an orthonormal basis [D, N].

        The features are the coordinates times the basis' transpose. Products of rows with each
        other, and the norm of weights in the span of the rows, are as before.
        """
        basis, triangle = torch.linalg.qr(torch.cat([part for _, part in self]).T)
        return FeatureRows(triangle.T.contiguous(), self.device), basis
