"""The training loss in ten parts of a training, and whether it was still falling at the end.

The parts have equal sums of learning rates, not equal numbers of steps: as the rate decays to 0
any loss flattens, converged or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PARTS = 10  # over each of which the loss is averaged
FALLING = 0.1  # of the whole fall of the loss: more than that in the last fifth is still falling
NOTICEABLE = 0.02  # of the loss: a smaller change is noise

Curve = list[list[float]]  # for each part the summed loss, and the number of steps


def empty_curve() -> Curve:
    """Return a curve without steps."""
    return [[0.0, 0] for _ in range(PARTS)]


def part_of_steps(rates: Sequence[float]) -> list[int]:
    """Return the part that each step belongs to; rates: the learning rate of each.

    >>> part_of_steps([1.0] * 10)
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    >>> part_of_steps([4.0, 3.0, 2.0, 1.0])
    [2, 5, 8, 9]
    """
    rate = np.maximum(np.asarray(rates, np.float64), 0)
    until = np.cumsum(rate) - rate / 2  # the middle of each step
    whole = max(float(rate.sum()), 1e-300)
    found: list[int] = np.minimum(until / whole * PARTS + 1e-9, PARTS - 1).astype(int).tolist()
    return found


def add_loss(curve: Curve, part: int, loss: float) -> None:
    """Add the loss of a step to a part of the curve."""
    curve[part][0] += loss
    curve[part][1] += 1


def falling_share(curve: Sequence[Sequence[float]]) -> float:
    """Return the share of the fall of the loss that the last fifth of training made.

    0 if the share is at most a tenth, if the loss hardly changed, and if a part had no step (a
    short training, or one that was stopped early).

    >>> falling_share([[10.0 - i, 1] for i in range(10)])
    0.235
    >>> falling_share([[2.0**-i, 1] for i in range(10)])
    0.0
    """
    if not all(count for _, count in curve):
        return 0.0
    means = [total / count for total, count in curve]
    before, last = (means[-4] + means[-3]) / 2, (means[-2] + means[-1]) / 2
    fall, whole = before - last, means[0] - last
    falling = fall > NOTICEABLE * before and fall > FALLING * whole
    return round(fall / whole, 3) if falling and whole > 0 else 0.0
