"""Learning-rate schedules, as factors on the base learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from skybench.core import Recipe, UsageError

WARM_UP = 0.1  # share of the steps, in the default schedule of heads
DROPS = (8 / 12, 11 / 12)  # shares of the steps where "step" drops to a tenth; mmdetection 1x


class Schedule(NamedTuple):
    """A learning-rate schedule, and gradient clipping."""

    rate: Callable[[int, int], float]  # step, steps -> the factor on the learning rate
    clip: float = 0.0  # largest norm of the gradient; 0: no clipping


def linear_decay(step: int, steps: int) -> float:
    """Return the factor of linear warm-up followed by linear decay (poly, power 1) to 0."""
    warm = max(1, math.ceil(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def poly(step: int, steps: int, warm: int) -> float:
    """Linear decay from the first step on, during warm-up too, as in mmcv 1.x (not mmengine)."""
    return 1 - step / steps


def cosine(step: int, steps: int, warm: int) -> float:
    """Cosine decay to 0 after the warm-up."""
    share = max(0, step - warm) / max(1, steps - warm)
    return (1 + math.cos(math.pi * share)) / 2


def step_decay(step: int, steps: int, warm: int) -> float:
    """Step decay: a tenth after two thirds of the steps, a hundredth after eleven twelfths."""
    return 0.1 ** sum(step >= drop * steps for drop in DROPS)


SHAPES = {"poly": poly, "cosine": cosine, "step": step_decay}  # of (step, steps, warm-up steps)


def recipe_schedule(recipe: Recipe, default: Schedule) -> Schedule:
    """Return the recipe's schedule if it names one, else the head's default. Raises UsageError."""
    name = recipe.schedule
    if not name:
        return default
    if name not in SHAPES:
        known = ", ".join(SHAPES)
        raise UsageError(f"No schedule {name!r} of a recipe. Known: {known}.")

    def factor(step: int, steps: int) -> float:
        warm = recipe.warm_up if recipe.warm_up >= 1 else math.ceil(recipe.warm_up * steps)
        warm = min(int(warm), steps // 2)
        rising = (step + 1) / warm if step < warm else 1.0
        return rising * SHAPES[name](step, steps, warm)

    return default._replace(rate=factor)
