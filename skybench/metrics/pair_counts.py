"""Counts of pairs of a true and a predicted class id, from which confusion matrices are made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import Masked, as_whole_number

PAIRS = 2**20  # counted directly: 8 MB; of ids farther apart each gets a number first
PIXELS = 2**15  # counted at once, with all intermediate arrays in the processor's cache


class PairCounts(NamedTuple):
    """How many labelled pixels have each pair of a true and a predicted id."""

    true: NDArray[Any]  # [R], the ids that occur, ascending; so is each of `predicted` [C]
    predicted: NDArray[Any]
    counts: NDArray[np.int64]  # [R, C]

    @property
    def ids(self) -> dict[str, NDArray[Any]]:
        """The ids that occur, by argument."""
        return {"predicted": self.predicted, "true": self.true}


def count_pairs(said: Masked, truth: Masked, ignore: int) -> PairCounts:
    """Count the pairs of true and predicted ids of the pixels with a label.

    Left out are pixels whose true id is `ignore`, and masked ones of either array.
    Raises InvalidArray for unequal shapes and for ids that are no integers.
    """
    p, t = said.values, truth.values
    if p.shape != t.shape:
        raise InvalidArray(f"Expected maps of one shape, but got {p.shape} and {t.shape}.")
    if t.size and (p.dtype.kind == "f" or t.dtype.kind == "f"):
        raise InvalidArray(
            f"Expected integer class ids, but got {p.dtype} and {t.dtype}; of scores, give the "
            "argmax, and convert ids that are whole numbers with .astype(int)."
        )
    ignore = as_whole_number(ignore, "ignore", -(2**62))
    seen = [~mask for mask in (said.mask, truth.mask) if mask is not None]
    if seen:
        p, t = (each[np.logical_and.reduce(seen)] for each in (p, t))
    true_ids, predicted_ids, counts = _counted(t.reshape(-1), p.reshape(-1))
    rows = np.flatnonzero(counts.any(1) & (true_ids != ignore))
    columns = np.flatnonzero(counts[rows].any(0))
    return PairCounts(true_ids[rows], predicted_ids[columns], counts[np.ix_(rows, columns)])


def _counted(
    true: NDArray[Any], said: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """Ids of two equally long arrays, ascending, and how often each pair occurs, maybe never."""
    if not true.size:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros((0, 0), np.int64)
    (low, high), (least, most) = ((int(x.min()), int(x.max())) for x in (true, said))
    few = (high - low + 1) * (most - least + 1) <= PAIRS
    if few and max(map(abs, (low, high, least, most))) < 2**62:
        table = _table(true, said, (low, least), (high - low + 1, most - least + 1))
        return np.arange(low, high + 1), np.arange(least, most + 1), table
    true_ids, true = np.unique(true, return_inverse=True)  # a mark as -2**31, or wrong ids
    said_ids, said = np.unique(said, return_inverse=True)
    if len(true_ids) * len(said_ids) > 16 * PAIRS:
        raise InvalidArray(
            f"Expected class ids, but got {len(true_ids)} different values in true and "
            f"{len(said_ids)} in predicted."
        )
    return true_ids, said_ids, _table(true, said, (0, 0), (len(true_ids), len(said_ids)))


def _table(
    true: NDArray[Any], said: NDArray[Any], low: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """How often each pair of ids occurs, from the lowest ids on."""
    total = np.zeros(shape[0] * shape[1], np.int64)
    size = max(PIXELS, len(total))
    # Sums of 16 bits may overflow on the way; what is left after the last subtraction fits.
    short = len(total) <= 2**16 and true.dtype == said.dtype == np.uint8
    kind: type[Any] = np.uint16 if short else np.intp
    for start in range(0, len(true), size):
        codes: Any = true[start : start + size].astype(kind)
        codes -= kind(low[0])
        codes *= kind(shape[1])
        codes += said[start : start + size].astype(kind, copy=False)
        codes -= kind(low[1])
        total += np.bincount(codes, minlength=len(total))
    return total.reshape(shape)
