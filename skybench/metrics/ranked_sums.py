"""Running sums along a ranking, under the weights of many bootstrap replicates at once.

Rows are places of a ranking, columns are replicates, so that NumPy adds whole rows. A ranking is
cut into runs of RUN places that lie side by side, [RUN, runs, replicates], and all runs are summed
together; empty places fill the last run. A single column is summed along the ranking instead.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 or float64
Numbers = NDArray[np.int32]
RUN = 64
REPLICATES = 64  # columns of a table: a row of float32 is 256 bytes
FEW = 8  # rows of weights that are summed in float64 in any case, as it costs nothing
EXACT = 2**24  # float32 has all whole numbers up to it


class WeightTables:
    """Weights [B, N] of images as tables [N, some], made when they are asked for.

    Whole weights, as those of the bootstrap, are summed in float32, which is exact below 2^24; a
    precision then has 7 digits, with other weights, or with FEW rows, 15.
    """

    def __init__(self, weights: NDArray[np.float64], columns: int = REPLICATES) -> None:
        self.weights, self.columns = weights, max(1, columns)
        # Row by row: a comparison of all weights would leave the processor's cache.
        self.whole = len(weights) > FEW and all((np.rint(row) == row).all() for row in weights)
        self.total = float(weights.sum(1).max(initial=0)) if self.whole else 0.0
        self.made: dict[Any, list[Floats]] = {}

    def of(self, largest: float) -> list[Floats]:
        """Return the tables for a ranking in which no sum exceeds `largest`."""
        dtype = np.float32 if self.whole and largest < EXACT else np.float64
        if dtype not in self.made:
            starts = range(0, len(self.weights), self.columns)
            parts = (self.weights[start : start + self.columns] for start in starts)
            self.made[dtype] = [part.T.astype(dtype, order="C") for part in parts]
        return self.made[dtype]


def side_by_side(count: int, most: int) -> NDArray[np.intp]:
    """Return the places of a ranking of `count`, and empty ones after it, in the order of blocks.

    A block [RUN, runs] has up to `most` runs; blocks follow each other in the ranking.

    >>> order = side_by_side(2 * RUN, 2).reshape(RUN, 2)
    >>> order[:2].tolist()
    [[0, 64], [1, 65]]
    """
    runs = max(1, min(most, -(-count // RUN)))
    size = runs * RUN
    blocks = np.arange(-(-count // size) * size).reshape(-1, runs, RUN)
    return blocks.swapaxes(1, 2).reshape(-1)


def arranged(
    images: NDArray[Any], starts: NDArray[Any], order: NDArray[np.intp]
) -> tuple[Numbers, Numbers]:
    """Return the images at each place in another order, and where each place starts among them.

    images: at all places; starts: of each place in `images`, and their number [places + 1]; order:
    of `side_by_side`.
    """
    padded = np.pad(starts, (0, len(order) - len(starts) + 1), mode="edge")
    lengths = np.diff(padded)[order]
    ends = np.cumsum(lengths)
    taken = np.arange(starts[-1]) + np.repeat(padded[:-1][order] - ends + lengths, lengths)
    return images[taken].astype(np.int32), np.append(0, ends).astype(np.int32)


def sums(table: Floats, images: Numbers, starts: Numbers) -> Floats:
    """Return the weights summed over the images at each place of a block, [RUN, runs, columns]."""
    some, begin = images[starts[0] : starts[-1]], starts - starts[0]
    if table.shape[1] == 1:  # a single score needs no torch
        reached = np.append(0, np.cumsum(table[some, 0]))[begin]
        return np.asarray(np.diff(reached)).reshape(RUN, -1, 1)
    import torch  # its kernel is 4 times as fast as SciPy's sparse product

    summed = torch.nn.functional.embedding_bag(
        torch.from_numpy(some),
        torch.from_numpy(table),
        torch.from_numpy(begin),
        mode="sum",
        include_last_offset=True,
    )
    return np.asarray(summed.numpy()).reshape(RUN, -1, table.shape[1])


def accumulate(block: Floats, before: Floats | float = 0.0) -> Floats:
    """Replace the values of a block [RUN, runs, columns] by running sums; return the last."""
    if block.shape[-1] == 1:
        ranked = block[..., 0].T.reshape(-1)
        ranked[:1] += before
        block[..., 0] = np.cumsum(ranked).reshape(-1, RUN).T
        return np.asarray(block[-1, -1].copy())
    for one, following in itertools.pairwise(block):
        following += one
    offsets = np.concatenate([np.broadcast_to(before, block[-1, :1].shape), block[-1]])
    for one, following in itertools.pairwise(offsets):
        following += one
    block += offsets[:-1].astype(block.dtype, copy=False)
    return np.asarray(offsets[-1])


def highest_from_here(block: Floats) -> None:
    """Replace each value of a block [RUN, runs, columns] by the highest at its place or later."""
    if block.shape[-1] == 1:
        ranked = block[..., 0].T.reshape(-1)[::-1]
        block[..., 0] = np.maximum.accumulate(ranked)[::-1].reshape(-1, RUN).T
        return
    for following, one in itertools.pairwise(block[::-1]):
        np.maximum(one, following, out=one)
    later = block[0, 1:].copy()
    for following, one in itertools.pairwise(later[::-1]):
        np.maximum(one, following, out=one)
    np.maximum(block[:, :-1], later, out=block[:, :-1])


def increments(block: Floats) -> Floats:
    """Return by how much each value of a block [RUN, runs, columns] exceeds the one before."""
    found = np.empty_like(block)
    np.subtract(block[1:], block[:-1], out=found[1:])
    np.subtract(block[0, 1:], block[-1, :-1], out=found[0, 1:])
    found[0, 0] = block[0, 0]
    return found
