"""Augmentations as recipes name them: "name" or "name=value,value", done in the given order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from skybench.augment import steps as steps
from skybench.augment.photometric import display
from skybench.augment.randaugment import HIGHEST, randaugment
from skybench.augment.steps import Rng, Values
from skybench.core import Boxes, DatasetCard, Sample, UsageError
from skybench.core.registry import unknown


class Value(NamedTuple):
    """A number that an augmentation takes."""

    name: str
    low: float
    high: float
    usual: float | None = None  # None: must be given
    whole: bool = False


class Step(NamedTuple):
    """An augmentation: what it does, and the numbers it takes."""

    run: Callable[[Sample, Values, Rng, DatasetCard], Sample]
    values: tuple[Value, ...] = ()
    ranges: tuple[int, ...] = ()  # places of numbers that the next one must reach
    turns: bool = False  # horizontal boxes would not stay horizontal


def augment(
    sample: Sample, names: Sequence[str], card: DatasetCard, seed: tuple[int, ...]
) -> Sample:
    """The sample after the named augmentations, all drawn from `seed` alone.

    What moves the ground moves every sensor and date, masks and boxes; display values change only
    in sensors whose unit is `UINT8`. Dtypes stay. seed: of the run, the epoch and the sample, so
    that the result depends on neither workers nor batches.
    Raises UsageError for unknown names, numbers that do not fit, turns of horizontal boxes, and
    an exchange of what is not a pair of dates.
    """
    rng = np.random.default_rng(seed)
    for name in names:
        step, values = _read(name)
        horizontal = isinstance(sample.target, Boxes) and "oriented_detection" not in card.tasks
        if step.turns and horizontal:
            raise UsageError(
                f"augmentation {name!r} turns images, but the boxes of {card.title} are "
                "horizontal; use flip, vflip, resize_crop or crop"
            )
        sample = step.run(sample, values, rng, card)
    return sample


def check(names: Sequence[str]) -> None:
    """Raises UsageError for an unknown augmentation, or numbers that do not fit it."""
    for name in names:
        _read(name)


def applied(names: Sequence[str], card: DatasetCard) -> tuple[str, ...]:
    """What is in force on a dataset, whose units may not allow all of it.

    Where colours change, the sensors follow in brackets. Without such a sensor "photometric" is
    left out and "randaugment=2,9,0.5 (no colours)" only moves the ground.
    """
    check(names)
    found = []
    for name in names:
        kind = name.partition("=")[0]
        sensors = [s for s, rgb in display(card).items() if rgb or kind == "photometric"]
        if kind not in ("photometric", "randaugment"):
            found.append(name)
        elif sensors or kind == "randaugment":
            found.append(f"{name} ({', '.join(sensors) or 'no colours'})")
    return tuple(found)


@functools.cache
def _read(name: str) -> tuple[Step, Values]:
    """The augmentation that a name stands for, and its numbers."""
    kind, given, text = name.partition("=")
    if kind not in STEPS:
        raise UsageError(unknown("augmentation", kind, [*STEPS]))
    step = STEPS[kind]
    parts = text.split(",") if given else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    usual = [value.usual for value in step.values[len(numbers) :]]
    values = tuple(x for x in [*numbers, *usual] if x is not None)
    whole = len(numbers) == len(parts) and len(values) == len(step.values)
    if not whole or not _fits(step, values):
        raise UsageError(f"augmentation {name!r} was given, expected {_form(kind, step)}")
    return step, values


def _fits(step: Step, values: Values) -> bool:
    return all(
        about.low <= x <= about.high and (not about.whole or x == round(x))
        for about, x in zip(step.values, values, strict=True)
    ) and all(values[i] <= values[i + 1] for i in step.ranges)


def _form(kind: str, step: Step) -> str:
    if not step.values:
        return f"{kind!r} without numbers"
    about = (f"{v.name} ({v.low:g} to {v.high:g}{', whole' * v.whole})" for v in step.values)
    pairs = (f"{step.values[i].name} <= {step.values[i + 1].name}" for i in step.ranges)
    return f"{kind}=" + ",".join(about) + "".join(f", {pair}" for pair in pairs)


SHARE = Value("largest share of a class", 0, 1, 1.0)
STEPS = {
    "flip": Step(partial(steps.flip, 0)),
    "vflip": Step(partial(steps.flip, 1)),
    "rotflip": Step(steps.rotflip, (Value("degrees", 0, 180, 20),), turns=True),
    "rotate": Step(steps.rotate, turns=True),
    "resize_crop": Step(
        steps.resize_crop, (Value("least", 0.1, 10, 0.5), Value("most", 0.1, 10, 2), SHARE), (0,)
    ),
    "crop": Step(steps.crop, (Value("pixels", 1, 65536, whole=True), SHARE)),
    "resized_crop": Step(
        steps.resized_crop,
        (Value("least area", 0.001, 1, 0.08), Value("most area", 0.001, 1, 1)),
        (0,),
    ),
    "photometric": Step(
        steps.distort,
        (
            Value("brightness", 0, 255, 32),
            Value("least contrast", 0, 10, 0.5),
            Value("most contrast", 0, 10, 1.5),
            Value("least saturation", 0, 10, 0.5),
            Value("most saturation", 0, 10, 1.5),
            Value("hue", 0, 90, 18),
        ),
        (1, 3),
    ),
    "randaugment": Step(
        randaugment,
        (
            Value("operations", 1, 15, 2, whole=True),
            Value("level", 0, HIGHEST, 9),
            Value("deviation", 0, HIGHEST, 0.5),
        ),
        turns=True,
    ),
    "erase": Step(steps.erase, (Value("chance", 0, 1, 0.25),)),
    "exchange": Step(steps.exchange, (Value("chance", 0, 1, 0.5),)),
}
