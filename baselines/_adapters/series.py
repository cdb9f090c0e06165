"""Which dates of a series are read together, by networks that take only so many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Part(NamedTuple):
    """Samples of a batch that are read alike, and the dates that are read together."""

    rows: Tensor  # of the batch, int64 [b]
    dates: Mapping[str, Tensor]  # by input, int64 [b, n], n > 0; a sensor without any is left out
    share: float  # of the samples' dates

    def pick(self, series: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same of images, days or what else has a date, [B, T, ...] -> [b, n, ...]."""
        return {name: series[name][self.rows[:, None], d] for name, d in self.dates.items()}


def parts(seen: Mapping[str, Tensor], longest: int, traits: Tensor | None = None) -> Iterator[Part]:
    """All samples of a batch with all their dates that are seen, at most `longest` at once.

    Parts of a longer series are spread over it: the 1st, 3rd and 5th of six dates, and the 2nd,
    4th and 6th. Padding thus never reaches a network, nor moves other dates. Of a sample without
    any date the first one is read. seen: bool [B, T] by input. traits: what else samples that are
    read together must have in common, int64 [B, k].
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
            yield Part(rows, dates, sum(d.shape[1] for d in dates.values()) / sum(numbers))
