"""Which samples are used: limits, fractions and held-out parts, all seeded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stratified(labels: Sequence[int] | None, count: int, wanted: int, seed: int) -> list[int]:
    """Indices of `wanted` of `count` samples, sorted, in the classes' proportions.

    Every class keeps at least one sample while `wanted` allows. Without labels a plain draw.

    >>> stratified([0, 0, 0, 0, 1, 1], 6, 3, seed=0)
    [2, 3, 5]
    """
    rng = np.random.default_rng(seed)
    if wanted >= count:
        return list(range(count))
    if labels is None:
        return sorted(rng.permutation(count)[:wanted].tolist())
    known = np.asarray(labels)
    order = rng.permutation(count)
    rank = np.empty(count)  # a sample's place within its class, relative to the class's size
    for c in np.unique(known):
        mine = order[known[order] == c]
        rank[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        rank[mine[0]] = 0.0
    return sorted(np.lexsort((order.argsort(), rank))[:wanted].tolist())


def hold_out(labels: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices that stay and indices held out: `share` of each class, at least one of each.

    A class with a single sample stays whole.
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
