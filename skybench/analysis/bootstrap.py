"""Bootstrap replicates of scores: what is drawn are independent units, not samples.

Resampling pixels, tiles of one image or months of one place gives intervals many times too narrow,
because these are not independent (`docs/log.md`). A unit is what `core.dataset.groups_of` names:
the image of a tile, the cube of a month, the scene of a crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000  # of every score; of the main one, for paired tests, `replicates.RESAMPLES`
BLOCK = 8_000_000  # weights in memory at once: 64 MB
COUNTED = 2**17  # draws counted at once: their counts stay in the processor's cache
MANY, PARTS = 80, 40  # from so many units on, these many parts of them are left out in turn


def unit_indices(groups: Sequence[str]) -> tuple[NDArray[np.intp], int]:
    """Return for each sample the index of its unit, in the order of their names, and their number.

    >>> unit_indices(["b", "a", "b"])[0].tolist()
    [1, 0, 1]
    """
    names, index = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    return index.reshape(-1), len(names)


def resamplings(
    groups: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> Iterator[NDArray[np.float64]]:
    """Yield the weights of bootstrap replicates in blocks, float64 [some, samples].

    groups: the unit of each sample. A row says how often the unit of each sample is drawn with
    replacement, as many units as there are. The values depend neither on the size of the blocks
    nor on the order of the samples.
    """
    index, units = unit_indices(groups)
    rng = np.random.default_rng(seed)
    own = np.array_equal(index, np.arange(units))  # each sample is the unit of its place
    some = max(8, BLOCK // len(index))
    for start in range(0, resamples, some):
        block = np.empty((min(some, resamples - start), len(index)))
        rows = max(1, COUNTED // units)
        for row in range(0, len(block), rows):
            counts = _counts(rng, units, min(rows, len(block) - row))
            block[row : row + rows] = counts if own else np.take(counts, index, 1)
        yield block


def _counts(rng: np.random.Generator, units: int, rows: int) -> NDArray[np.intp]:
    """How often each unit is drawn, [rows, units].

    Drawn and counted, which for many units is several times as fast as NumPy's multinomial.
    """
    drawn = rng.integers(0, units, (rows, units))
    drawn += np.arange(0, rows * units, units)[:, None]
    counted = np.bincount(drawn.reshape(-1), minlength=rows * units)
    return counted.reshape(rows, units)


def omissions(groups: Sequence[str], seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Yield weights of 0 and 1 in blocks [some, samples] that leave out each unit in turn.

    Of `MANY` units or more, one of `PARTS` random parts of them is left out in turn: average
    precision is a step function of recall, which single images of many hardly move.
    """
    index, units = unit_indices(groups)
    parts = units if units < MANY else PARTS
    part = np.arange(units) % parts
    if units > parts:
        np.random.default_rng(seed).shuffle(part)
    some = max(8, BLOCK // len(index))
    for start in range(0, parts, some):
        rows = np.arange(start, min(start + some, parts))[:, None]
        yield (part[index] != rows).astype(np.float64)


def seed_deviation(values: list[float]) -> float:
    """Return the sample standard deviation over seeds; 0 for one seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
