"""The order of labels and scores, by the fastest of NumPy's ways."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
LABELS = 2**16  # larger ones are searched for, not looked up


def numbered(labels: Ints, true_labels: Ints) -> tuple[list[NDArray[Any]], int]:
    """Return two arrays of labels numbered from 0 in their order, and how many labels there are.

    The numbers have no gaps, and the smallest type: NumPy sorts one or two bytes several times as
    fast as eight.

    >>> numbered(np.array([7, 3]), np.array([9]))[0]
    [array([1, 0], dtype=uint8), array([2], dtype=uint8)]
    """
    most = max(labels.max(initial=0), true_labels.max(initial=0))
    least = min(labels.min(initial=0), true_labels.min(initial=0))
    each = labels, true_labels
    if least < 0 or most >= LABELS:
        names = np.unique(np.concatenate(each))
        places = [np.searchsorted(names, some) for some in each]
    else:  # looked up: much faster than searched
        present = np.zeros(most + 1, bool)
        for some in each:
            present[some] = True
        names, place = np.flatnonzero(present), np.cumsum(present) - 1
        places = [place[some] for some in each]
    return [some.astype(np.min_scalar_type(len(names))) for some in places], len(names)


def descending(scores: NDArray[np.float64]) -> Ints:
    """Return the order of scores, the highest first; equal ones stay in the order given.

    >>> descending(np.array([0.5, 0.9, 0.5])).tolist()
    [1, 0, 2]
    """
    order = np.argsort(-scores)  # a quarter of the time of a stable sort; few scores are equal
    ranked = scores[order]
    same = np.zeros(len(ranked) + 1, bool)  # whether a place has the score of the one before
    same[1:-1] = ranked[1:] == ranked[:-1]
    tied = same[1:] | same[:-1]
    if len(some := order[tied]):
        values = np.cumsum(~same[:-1])[tied]
        order[tied] = some[np.lexsort((some, values))]
    return order
