"""Learning rates over a training; see skybench.training.lr_schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from skybench.core import Recipe, UsageError
from skybench.training.lr_schedules import (
    Schedule,
    check_schedule,
    linear_decay,
    recipe_schedule,
)


def factors(schedule: str, steps: int, count: int = 1, **more: Any) -> list[float]:
    """The factor at every step of a schedule by its name."""
    recipe = Recipe("finetune", schedule=schedule, **{"batch": 1, "lr": 1.0} | more)
    rate = recipe_schedule(recipe, Schedule(linear_decay), count).rate
    return [rate(step, steps) for step in range(steps)]


def by_torch(scheduler: Any, steps: int, **more: Any) -> list[float]:
    """The factor at every step of a scheduler of torch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    made, found = scheduler(optimizer, **more), []
    for _ in range(steps):
        found.append(made.get_last_lr()[0])
        optimizer.step()
        made.step()
    return found


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
    regular = [1 - i / 100 for i in range(100)]
    warm = [min(1, (i + 1) / 20) for i in range(100)]
    assert factors("poly", 100, warm_up=20) == pytest.approx(np.multiply(regular, warm))


def test_linear_starts_to_fall_after_the_warm_up_as_in_mmengine() -> None:
    """LinearLR from 1e-6 over steps 0 to 100, then PolyLR of power 1 from 100 to 1000, with the
    recursion of mmengine's PolyParamScheduler."""
    expected = [1e-6 + (1 - 1e-6) * i / 99 for i in range(100)]
    left, rate = 899, 1.0
    for step in range(900):
        if step:
            rate *= 1 - 1 / (left - step + 1)
        expected.append(rate)
    found = factors("linear", 1000, warm_up=100)
    assert found[99:101] == [1.0, 1.0]
    # Theirs begins at 1e-6 and ends at 0, ours at 1/100 and 1/900.
    assert found == pytest.approx(expected, abs=1 / 99)
    assert found[100:] == pytest.approx(expected[100:], abs=1 / 899)
    torchs = by_torch(lr_scheduler.PolynomialLR, 900, total_iters=900, power=1.0)
    assert found[100:] == pytest.approx(torchs)
    # What mmcv's poly would give: its peak and its sum are a tenth lower.
    poly = factors("poly", 1000, warm_up=100)
    assert max(poly) == pytest.approx(0.9, abs=0.002)
    assert sum(poly) / sum(found) == pytest.approx(0.903, abs=0.002)


def test_cosine_warms_up_and_ends_at_its_floor() -> None:
    found = factors("cosine", 100, warm_up=0.2)
    assert found[:20] == pytest.approx([(i + 1) / 20 for i in range(20)])
    assert found[60] == pytest.approx(0.5)
    assert 0 < found[-1] < 0.02
    assert factors("cosine", 100, warm_up=10)[4:10:5] == [0.5, 1.0]
    floored = factors("cosine=1e-6", 100, lr=1e-5)
    torchs = by_torch(lr_scheduler.CosineAnnealingLR, 100, T_max=100, eta_min=0.1)
    assert floored == pytest.approx(torchs)
    assert factors("cosine=0", 30) == factors("cosine", 30)
    with pytest.raises(UsageError, match="ends above the learning rate, 1e-06"):
        factors("cosine=1e-5", 3, lr=1e-6)


def test_the_step_schedule_drops_to_a_tenth_twice() -> None:
    found = factors("step", 24, warm_up=2)
    assert found == pytest.approx([0.5] + [1.0] * 15 + [0.1] * 6 + [0.01] * 2)


@pytest.mark.parametrize(("text", "steps", "drops"), [
    ("0.6,0.9", 50, [30, 45]), ("0.6,0.8", 100, [60, 80]), ("0.55", 100, [55]),
])  # fmt: skip
def test_multistep_drops_to_a_tenth_at_shares_of_the_steps(
    text: str, steps: int, drops: list[int]
) -> None:
    torchs = by_torch(lr_scheduler.MultiStepLR, steps, milestones=drops, gamma=0.1)
    assert factors(f"multistep={text}", steps) == pytest.approx(torchs)


def test_exponential_falls_after_each_epoch() -> None:
    found = factors("exponential=0.95", 12, count=9, batch=4)  # 3 steps an epoch
    assert found == pytest.approx([0.95**epoch for epoch in range(4) for _ in range(3)])


def test_a_recipe_without_a_schedule_has_the_heads_own() -> None:
    assert factors("", 20) == [linear_decay(step, 20) for step in range(20)]


@pytest.mark.parametrize(("name", "message"), [
    ("cosin", "Did you mean 'cosine'. Known: poly, linear, cosine, step, multistep, exponential"),
    ("poly=2", "'poly=2' was given, expected poly"),
    ("cosine=-1", "expected cosine or cosine=RATE"),
    ("cosine=nan", "expected cosine or cosine=RATE"),
    ("cosine=1e-6,2", "expected cosine or cosine=RATE"),
    ("step=0.5", "expected step"),
    ("multistep", "expected multistep=SHARE"),
    ("multistep=", "expected multistep=SHARE"),
    ("multistep=0.9,0.6", "each above the last"),
    ("multistep=60,80", "of all steps"),
    ("exponential=95%", "expected exponential=FACTOR"),
    ("exponential=1.5", "0 to 1"),
])  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused(name: str, message: str) -> None:
    for check in (check_schedule, lambda name: factors(name, 3)):
        with pytest.raises(UsageError, match=message):
            check(name)


def test_schedules_that_recipes_name_are_known() -> None:
    names = ("", "poly", "linear", "cosine", "cosine=1e-6", "step", "multistep=0.6,0.9")
    for name in (*names, "exponential=0.95"):
        check_schedule(name)
        assert all(math.isfinite(x) and 0 < x <= 1 for x in factors(name, 7, warm_up=2))
