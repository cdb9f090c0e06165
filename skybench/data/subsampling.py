"""Seeded subsets of samples: limits, fractions and held-out parts."""

from __future__ import annotations

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


def hold_out(labels: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Hold out a share of each class; return the remaining and the held-out indices, sorted.

    At least one sample of a class is held out, unless it is the only one.
    """
    rng = np.random.default_rng(seed)
    known = np.asarray(labels)
    out: list[int] = []
    for c in np.unique(known):
        mine = rng.permutation(np.flatnonzero(known == c))
        take = min(max(1, round(share * len(mine))), len(mine) - 1)
        out += mine[:take].tolist()
    held = set(out)
    return [i for i in range(len(known)) if i not in held], sorted(out)
