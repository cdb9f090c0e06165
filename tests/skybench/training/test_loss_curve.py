from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.training.loss_curve import add_loss, empty_curve, falling_share, part_of_steps
from skybench.training.lr_schedules import linear_decay


def curve_of(
    loss: Callable[[float], float], steps: int = 100, done: int = 0, decay: bool = False
) -> list[list[float]]:
    """The curve of a loss that depends on the share of all learning rates so far.

    done: steps, 0: all; decay: of the rate, to 0.
    """
    rates = [linear_decay(step, steps) if decay else 1.0 for step in range(steps)]
    parts, shares = part_of_steps(rates), np.cumsum(rates) / sum(rates)
    curve = empty_curve()
    for step in range(done or steps):
        add_loss(curve, parts[step], loss(float(shares[step])))
    return curve


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("steps", [20, 37, 1000])
@pytest.mark.parametrize(
    ("loss", "falls"),
    [
        (lambda t: 3 - 2 * t, True),
        (lambda t: 3 - 2 * t**2, True),
        (lambda t: math.exp(-2 * t), True),
        (lambda t: math.exp(-8 * t), False),
        (lambda t: 1 / (1 + 30 * t), False),
        (lambda t: 2 - t if t < 0.5 else 1.5, False),
        (lambda t: 0.7, False),
        (lambda t: 0.7 - 0.01 * t, False),  # hardly changes
        (lambda t: 1 + t, False),
        (lambda t: 1 + t if t < 0.6 else 2.4 - t, False),  # worse than at the start
    ],
)
def test_a_loss_that_still_falls_is_told(
    loss: Callable[[float], float], falls: bool, steps: int, decay: bool
) -> None:
    share = falling_share(curve_of(loss, steps, decay=decay))
    assert (share > 0.1) == falls
    assert falls or share == 0


def test_a_short_or_stopped_training_tells_nothing() -> None:
    assert falling_share(curve_of(lambda t: 3 - 2 * t, 9)) == 0
    assert falling_share(curve_of(lambda t: 3 - 2 * t, 100, done=80)) == 0


def test_every_step_counts_once_and_in_order() -> None:
    curve = curve_of(lambda t: t, 23)
    assert sum(count for _, count in curve) == 23
    means = [total / count for total, count in curve]
    assert means == sorted(means)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.3]))
def test_noise_around_a_converged_loss_is_not_taken_for_falling(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    values = 0.3 + 2 * np.exp(-np.arange(200) / 12) + rng.normal(0, noise, 200) * 0.3
    assert falling_share(curve_of(lambda t: float(values[round(t * 200) - 1]), 200)) == 0
