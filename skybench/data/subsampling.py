"""Seeded subsets of samples: limits, fractions and held-out parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np


def stratified_subset(
    labels: Sequence[int] | None, count: int, wanted: int, seed: int
) -> list[int]:
    """Draw `wanted` of `count` samples in the proportions of the classes; return sorted indices.

    Every class keeps at least one sample where `wanted` allows. Without labels, draw uniformly.

    >>> stratified_subset([0, 0, 0, 0, 1, 1], 6, 3, seed=0)
    [2, 3, 5]
    """
    rng = np.random.default_rng(seed)
    if wanted >= count:
        return list(range(count))
    if labels is None:
        return sorted(rng.permutation(count)[:wanted].tolist())
    known = np.asarray(labels)
    order = rng.permutation(count)
    rank = np.empty(count)  # a sample's position in its class, relative to the class size
    for c in np.unique(known):
        mine = order[known[order] == c]
        rank[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        rank[mine[0]] = 0.0
    return sorted(np.lexsort((order.argsort(), rank))[:wanted].tolist())


def hold_out(
    labels: Sequence[int], share: float, seed: int, groups: Sequence[str] = ()
) -> tuple[list[int], list[int]]:
    """Hold out a share of each class; return the remaining and the held-out indices, sorted.

    groups: the independent unit of each sample, as the image of a tile (see
    `skybench.core.dataset.groups_of`). A unit is held out whole, since its samples are alike and
    the score on a part of them would flatter; its class is that of its first sample. At least one
    unit of a class is held out, unless it is the only one. Without groups, and where no class has
    two units, each sample is a unit.

    >>> hold_out([0] * 6, 0.2, seed=0, groups=list("aabbcc"))
    ([0, 1, 2, 3], [4, 5])
    """
    units = list(groups) or [str(i) for i in range(len(labels))]
    first = dict(zip(reversed(units), reversed(labels), strict=True))
    if len(set(units)) == len(set(first.values())):  # of each class a single one
        units = [str(i) for i in range(len(labels))]
        first = dict(zip(units, labels, strict=True))
    names = list(dict.fromkeys(units))
    sizes, known = Counter(units), np.asarray([first[name] for name in names])
    rng, held = np.random.default_rng(seed), set[str]()
    for c in np.unique(known):
        mine = [names[i] for i in rng.permutation(np.flatnonzero(known == c))]
        held.update(mine[: _how_many([sizes[name] for name in mine], share)])
    out = [i for i, unit in enumerate(units) if unit in held]
    return [i for i, unit in enumerate(units) if unit not in held], out


def _how_many(sizes: Sequence[int], share: float) -> int:
    """How many units, from the first on, come nearest to a share of all samples.

    At least one, but not all.
    """
    total = sum(sizes)
    if total == len(sizes):  # a sample each
        wanted = round(share * total)
    else:
        wanted = 1 + int(np.argmin(np.abs(np.cumsum(sizes) - share * total)))
    return min(max(1, wanted), len(sizes) - 1)
