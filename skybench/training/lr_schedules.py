"""Learning-rate schedules, as factors on the base learning rate; no torch.

By the names that recipes use: "name" or "name=value,value", see SHAPES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from skybench.core import Recipe, UsageError
from skybench.core.registry import unknown

WARM_UP = 0.1  # share of the steps, in the default schedule of heads
DROPS = (8 / 12, 11 / 12)  # shares of the steps where "step" drops to a tenth; mmdetection 1x
TINY = 1e-6  # of a step: 0.55 * 100 is above 55

Values = tuple[float, ...]


class Schedule(NamedTuple):
    """A learning-rate schedule."""

    rate: Callable[[int, int], float]  # step, steps -> the factor on the learning rate


class Moment(NamedTuple):
    """A step of a training."""

    step: int  # from 0
    steps: int  # of the training
    warm_up: int  # steps
    epoch: int  # from 0

    @property
    def decayed(self) -> float:
        """The share of the steps after the warm-up that are done, 0 to 1."""
        done = max(0, self.step - self.warm_up)
        return done / max(1, self.steps - self.warm_up)


class DecayShape(NamedTuple):
    """A shape of a schedule after the warm-up, and the values that its name may have."""

    factor: Callable[[Moment, Values], float]
    form: str  # of the name
    default: Values | None = ()  # None: values must be given
    fits: Callable[[Values], bool] = lambda values: not values


def linear_decay(step: int, steps: int) -> float:
    """Return the factor of linear warm-up followed by linear decay (poly, power 1) to 0."""
    warm = max(1, math.ceil(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def poly(at: Moment, values: Values) -> float:
    """Linear decay to 0 from the first step on, during warm-up too, as in mmcv 1.x."""
    return 1 - at.step / at.steps


def linear(at: Moment, values: Values) -> float:
    """Linear decay to 0 that starts after the warm-up, as mmengine's PolyLR with power 1.

    There the last step has a rate of 0 (a step less in the divisor), here of one step's decay.
    """
    return 1 - at.decayed


def cosine(at: Moment, values: Values) -> float:
    """Cosine decay after the warm-up, to a floor given as a factor."""
    (floor,) = values
    return floor + (1 - floor) * (1 + math.cos(math.pi * at.decayed)) / 2


def multistep(at: Moment, values: Values) -> float:
    """A tenth after each of these shares of all steps."""
    return 0.1 ** sum(at.step >= share * at.steps - TINY for share in values)


def exponential(at: Moment, values: Values) -> float:
    """Decay by a factor after each epoch."""
    (factor,) = values
    return factor**at.epoch


def _rising_shares(values: Values) -> bool:
    return list(values) == sorted({*values}) and all(0 < share < 1 for share in values)


SHAPES = {
    "poly": DecayShape(poly, "poly"),
    "linear": DecayShape(linear, "linear"),
    "cosine": DecayShape(
        cosine, "cosine or cosine=RATE, the last learning rate", (0.0,),
        lambda values: len(values) == 1 and 0 <= values[0] < math.inf,
    ),
    "step": DecayShape(multistep, "step", DROPS, lambda values: values == DROPS),
    "multistep": DecayShape(
        multistep, "multistep=SHARE,SHARE of all steps, each above the last, 0 to 1", None,
        _rising_shares,
    ),
    "exponential": DecayShape(
        exponential, "exponential=FACTOR an epoch, 0 to 1", None,
        lambda values: len(values) == 1 and 0 < values[0] <= 1,
    ),
}  # fmt: skip


def check_schedule(name: str) -> None:
    """Raise UsageError for an unknown schedule, or values out of its range; "" is the default."""
    if name:
        _parsed(name)


def _parsed(name: str) -> tuple[DecayShape, Values]:
    """The shape of a schedule by its name, and its values."""
    kind, given, text = name.partition("=")
    if kind not in SHAPES:
        raise UsageError(unknown("schedule", kind, [*SHAPES]))
    shape = SHAPES[kind]
    try:
        values = tuple(map(float, text.split(","))) if given else shape.default
    except ValueError:
        values = None
    if values is None or not shape.fits(values):
        raise UsageError(f"schedule {name!r} was given, expected {shape.form}")
    return shape, values


def recipe_schedule(recipe: Recipe, default: Schedule, count: int) -> Schedule:
    """Return the recipe's schedule if it names one, else the head's default.

    count: training samples. Raises UsageError for an unknown name, values out of range, and a
    last learning rate above the recipe's.
    """
    if not recipe.schedule:
        return default
    shape, values = _parsed(recipe.schedule)
    if shape.factor is cosine and values[0]:
        if values[0] > recipe.lr:
            raise UsageError(
                f"schedule {recipe.schedule!r} ends above the learning rate, {recipe.lr:g}; "
                "expected a smaller one"
            )
        values = (values[0] / recipe.lr,)
    an_epoch = max(1, math.ceil(count / max(1, recipe.batch)))

    def factor(step: int, steps: int) -> float:
        warm = recipe.warm_up if recipe.warm_up >= 1 else math.ceil(recipe.warm_up * steps)
        warm = min(int(warm), steps // 2)
        rising = (step + 1) / warm if step < warm else 1.0
        return rising * shape.factor(Moment(step, steps, warm, step // an_epoch), values)

    return Schedule(factor)
