"""How a learning rate goes over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from skybench.core import Recipe, UsageError

WARM_UP = 0.1  # share of the steps, where a head has its own schedule
DROPS = (8 / 12, 11 / 12)  # of the steps: there "step" goes to a tenth; mmdetection's schedule_1x


class Schedule(NamedTuple):
    """How the learning rate goes, and how large a gradient may be."""

    rate: Callable[[int, int], float]  # step, steps -> the factor on the learning rate
    clip: float = 0.0  # norm of the gradient; 0: any


def rate(step: int, steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then linear decay (poly, power 1) to 0."""
    warm = max(1, math.ceil(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def poly(step: int, steps: int, warm: int) -> float:
    """Falls from the first step on, during the warm-up too, as mmcv 1.x has it (not mmengine)."""
    return 1 - step / steps


def cosine(step: int, steps: int, warm: int) -> float:
    """Falls after the warm-up."""
    share = max(0, step - warm) / max(1, steps - warm)
    return (1 + math.cos(math.pi * share)) / 2


def drops(step: int, steps: int, warm: int) -> float:
    """A tenth after each of two thirds and eleven twelfths of the steps."""
    return 0.1 ** sum(step >= drop * steps for drop in DROPS)


SHAPES = {"poly": poly, "cosine": cosine, "step": drops}  # step, steps, those of the warm-up


def scheduled(recipe: Recipe, usual: Schedule) -> Schedule:
    """The recipe's schedule, where it has one, else the head's own. Raises UsageError."""
    name = recipe.schedule
    if not name:
        return usual
    if name not in SHAPES:
        known = ", ".join(SHAPES)
        raise UsageError(f"No schedule {name!r} of a recipe. Known: {known}.")

    def factor(step: int, steps: int) -> float:
        warm = recipe.warm_up if recipe.warm_up >= 1 else math.ceil(recipe.warm_up * steps)
        warm = min(int(warm), steps // 2)
        rising = (step + 1) / warm if step < warm else 1.0
        return rising * SHAPES[name](step, steps, warm)

    return usual._replace(rate=factor)
