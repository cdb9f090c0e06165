"""Learning rates over a training; see skybench.training.lr_schedules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skybench.core import Recipe, UsageError
from skybench.training.lr_schedules import Schedule, linear_decay, recipe_schedule


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 95])
def test_the_rate_warms_up_and_falls_to_0(steps: int) -> None:
    factors = [linear_decay(s, steps) for s in range(steps)]
    assert max(factors) == 1.0
    peak = factors.index(1.0)
    assert peak + 1 == max(1, -(-steps // 10))
    assert all(0 < f <= 1 for f in factors)
    assert np.all(np.diff(factors[: peak + 1]) > 0)
    assert np.all(np.diff(factors[peak + 1 :]) < 0)
    assert linear_decay(steps, steps) == 0.0
    np.testing.assert_allclose(np.diff(factors[peak + 1 :], 2), 0, atol=1e-12)  # linear


def test_poly_falls_during_the_warm_up_too() -> None:
    """mmcv 1.x: the regular rate of every iteration, times the warm-up; PolyLrUpdaterHook."""
    recipe = Recipe("finetune", schedule="poly", warm_up=20)
    factor = recipe_schedule(recipe, Schedule(linear_decay)).rate
    regular = [1 - i / 100 for i in range(100)]
    warm = [min(1, (i + 1) / 20) for i in range(100)]
    assert [factor(i, 100) for i in range(100)] == pytest.approx(np.multiply(regular, warm))


def test_a_schedule_warms_up_and_ends_near_zero() -> None:
    recipe = Recipe("finetune", schedule="cosine", warm_up=0.2)
    factor = recipe_schedule(recipe, Schedule(linear_decay)).rate
    factors = [factor(step, 100) for step in range(100)]
    assert factors[:20] == pytest.approx([(i + 1) / 20 for i in range(20)])
    assert factors[60] == pytest.approx(0.5)
    assert 0 < factors[-1] < 0.02
    steps = recipe_schedule(replace(recipe, warm_up=10), Schedule(linear_decay)).rate
    assert (steps(9, 100), steps(4, 100)) == (1.0, 0.5)
    with pytest.raises(UsageError, match="Known: poly, cosine, step"):
        recipe_schedule(replace(recipe, schedule="linear"), Schedule(linear_decay))


def test_the_step_schedule_drops_to_a_tenth_twice() -> None:
    recipe = Recipe("finetune", schedule="step", warm_up=2)
    factor = recipe_schedule(recipe, Schedule(linear_decay)).rate
    factors = [factor(step, 24) for step in range(24)]
    assert factors == pytest.approx([0.5] + [1.0] * 15 + [0.1] * 6 + [0.01] * 2)
