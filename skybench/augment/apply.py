"""Augmentations by the names that recipes use: "name" or "name=value,value", in order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from skybench.augment import steps
from skybench.augment.photometric import display_sensors
from skybench.augment.randaugment import HIGHEST, randaugment
from skybench.augment.steps import Rng, Values
from skybench.core import DatasetCard, Sample, UsageError
from skybench.core.registry import unknown


class Parameter(NamedTuple):
    """A numeric parameter of an augmentation, with its range."""

    name: str
    low: float
    high: float
    default: float | None = None  # None: must be given
    integer: bool = False


class Augmentation(NamedTuple):
    """An augmentation and its parameters."""

    run: Callable[[Sample, Values, Rng, DatasetCard], Sample]
    parameters: tuple[Parameter, ...] = ()
    ranges: tuple[int, ...] = ()  # indices of parameters that are at most the next one
    rotates: bool = False  # horizontal boxes would not stay horizontal


def augment(
    sample: Sample, names: Sequence[str], card: DatasetCard, seed: tuple[int, ...]
) -> Sample:
    """Apply the named augmentations to a sample, with random draws from `seed` alone.

    Geometric ones warp every sensor, date, mask and box; colours change only in sensors whose
    unit is `UINT8`. Dtypes stay. seed: (run, epoch, sample), so that the result depends on neither
    workers nor batches.
    Raises UsageError for unknown names, values out of range, rotations of horizontal boxes, and
    an exchange of anything but a pair of dates.
    """
    rng = np.random.default_rng(seed)
    for name in names:
        step, values = _parsed(name)
        boxes = card.target_of(sample.target).kind == "boxes"
        if step.rotates and boxes and "oriented_detection" not in card.tasks:
            raise UsageError(
                f"augmentation {name!r} turns images, but the boxes of {card.title} are "
                "horizontal; use flip, vflip, resize_crop or crop"
            )
        sample = step.run(sample, values, rng, card)
    return sample


def check_augmentations(names: Sequence[str]) -> None:
    """Raise UsageError for an unknown augmentation, or values out of its range."""
    for name in names:
        _parsed(name)


def effective_augmentations(names: Sequence[str], card: DatasetCard) -> tuple[str, ...]:
    """Return the augmentations that take effect on a dataset, given the units of its sensors.

    Where colours change, the sensors follow in brackets. Without such a sensor "photometric" is
    left out, and "randaugment=2,9,0.5 (no colours)" is geometric only.
    """
    check_augmentations(names)
    found = []
    for name in names:
        kind = name.partition("=")[0]
        sensors = [s for s, rgb in display_sensors(card).items() if rgb or kind == "photometric"]
        if kind not in ("photometric", "randaugment"):
            found.append(name)
        elif sensors or kind == "randaugment":
            found.append(f"{name} ({', '.join(sensors) or 'no colours'})")
    return tuple(found)


@functools.cache
def _parsed(name: str) -> tuple[Augmentation, Values]:
    """The augmentation of a name, and its parameters' values."""
    kind, given, text = name.partition("=")
    if kind not in STEPS:
        raise UsageError(unknown("augmentation", kind, [*STEPS]))
    step = STEPS[kind]
    parts = text.split(",") if given else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    defaults = [parameter.default for parameter in step.parameters[len(numbers) :]]
    values = tuple(x for x in [*numbers, *defaults] if x is not None)
    complete = len(numbers) == len(parts) and len(values) == len(step.parameters)
    if not complete or not _fits(step, values):
        raise UsageError(f"augmentation {name!r} was given, expected {_form(kind, step)}")
    return step, values


def _fits(step: Augmentation, values: Values) -> bool:
    return all(
        p.low <= x <= p.high and (not p.integer or x == round(x))
        for p, x in zip(step.parameters, values, strict=True)
    ) and all(values[i] <= values[i + 1] for i in step.ranges)


def _form(kind: str, step: Augmentation) -> str:
    if not step.parameters:
        return f"{kind!r} without numbers"
    about = (f"{p.name} ({p.low:g} to {p.high:g}{', whole' * p.integer})" for p in step.parameters)
    names = [p.name for p in step.parameters]
    pairs = (f"{names[i]} <= {names[i + 1]}" for i in step.ranges)
    return f"{kind}=" + ",".join(about) + "".join(f", {pair}" for pair in pairs)


SHARE = Parameter("largest share of a class", 0, 1, 1.0)
STEPS = {
    "flip": Augmentation(partial(steps.flip, 0)),
    "vflip": Augmentation(partial(steps.flip, 1)),
    "rotflip": Augmentation(steps.rotflip, (Parameter("degrees", 0, 180, 20),), rotates=True),
    "quarter": Augmentation(steps.quarter, rotates=True),
    "rotate": Augmentation(steps.rotate, rotates=True),
    "resize_crop": Augmentation(
        steps.resize_crop,
        (Parameter("least", 0.1, 10, 0.5), Parameter("most", 0.1, 10, 2), SHARE),
        (0,),
    ),
    "crop": Augmentation(steps.crop, (Parameter("pixels", 1, 65536, integer=True), SHARE)),
    "resized_crop": Augmentation(
        steps.resized_crop,
        (Parameter("least area", 0.001, 1, 0.08), Parameter("most area", 0.001, 1, 1)),
        (0,),
    ),
    "photometric": Augmentation(
        steps.distort,
        (
            Parameter("brightness", 0, 255, 32),
            Parameter("least contrast", 0, 10, 0.5),
            Parameter("most contrast", 0, 10, 1.5),
            Parameter("least saturation", 0, 10, 0.5),
            Parameter("most saturation", 0, 10, 1.5),
            Parameter("hue", 0, 90, 18),
        ),
        (1, 3),
    ),
    "randaugment": Augmentation(
        randaugment,
        (
            Parameter("operations", 1, 15, 2, integer=True),
            Parameter("level", 0, HIGHEST, 9),
            Parameter("deviation", 0, HIGHEST, 0.5),
        ),
        rotates=True,
    ),
    "erase": Augmentation(steps.erase, (Parameter("chance", 0, 1, 0.25),)),
    "exchange": Augmentation(steps.exchange, (Parameter("chance", 0, 1, 0.5),)),
}
