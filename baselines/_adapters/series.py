"""Splits series of images for networks that read a limited number of dates at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class SeriesPart(NamedTuple):
    """Samples with equally many dates, and the dates that go into one forward pass."""

    rows: Tensor  # of the batch, int64 [b]
    dates: Mapping[str, Tensor]  # by input, int64 [b, n], n > 0; a sensor without any is left out
    share: float  # of the samples' dates

    def pick(self, series: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Select this part of images, days or other series, [B, T, ...] -> [b, n, ...] by input."""
        return {name: series[name][self.rows[:, None], d] for name, d in self.dates.items()}


def series_parts(
    seen: Mapping[str, Tensor], longest: int, traits: Tensor | None = None
) -> Iterator[SeriesPart]:
    """Yield parts that cover every seen date of every sample, at most `longest` dates each.

    Parts of a longer series are spread over it: the 1st, 3rd and 5th of six dates, then the 2nd,
    4th and 6th. Padding thus never reaches a network, nor moves other dates. For a sample without
    seen dates the first date is read. seen: bool [B, T] by input. traits: further values that the
    samples of a part must share, int64 [B, k].
    """
    counts = torch.stack([s.sum(1) for s in seen.values()], 1)
    counts[:, 0] += counts.sum(1) == 0
    order = {n: (~s).to(torch.uint8).argsort(dim=1, stable=True) for n, s in seen.items()}
    kinds = counts if traits is None else torch.cat((counts, traits), 1)
    for kind in torch.unique(kinds, dim=0):
        rows = (kinds == kind).all(1).nonzero()[:, 0]
        numbers: list[int] = kind[: len(seen)].tolist()
        step = -(-max(numbers) // longest)
        for start in range(step):
            dates = {
                name: order[name][rows, :number][:, start::step]
                for name, number in zip(seen, numbers, strict=True)
                if number > start
            }
            yield SeriesPart(rows, dates, sum(d.shape[1] for d in dates.values()) / sum(numbers))
