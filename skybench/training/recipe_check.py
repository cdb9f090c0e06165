"""Checks of a recipe's settings of training before anything runs; no torch."""

from __future__ import annotations

import math
from typing import NamedTuple

from skybench.core import Recipe, UsageError
from skybench.core.registry import unknown
from skybench.training.lr_schedules import Schedule, linear_decay, recipe_schedule

# Settings of a recipe that only some heads have, with their text in messages.
OPTIONAL = {
    "mixup": "mixup",
    "cutmix": "CutMix",
    "dropout": "dropout before the classifier",
    "smoothing": "label smoothing",
    "test_crop": "crops of test images",
    "augment": "augmentation",
}
SHARES = ("dropout", "smoothing", "test_crop")  # 0 to 1


class HeadSettings(NamedTuple):
    """What the heads of a protocol have, beside rates and lengths."""

    heads: tuple[str, ...] = ()  # by name; "" is the usual one
    losses: tuple[str, ...] = ()  # by name, beside the usual one
    optional: tuple[str, ...] = ()  # of OPTIONAL


def parse_optimizer(name: str) -> tuple[str, float]:
    """Return the optimizer of a name, "adamw", "adam" or "sgd", and its momentum.

    Raises UsageError for any other name, and for a momentum out of 0..1.

    >>> parse_optimizer("sgd=0.9")
    ('sgd', 0.9)
    """
    kind, given, text = name.partition("=")
    if not given and kind in ("", "adam"):
        return kind or "adamw", 0.0
    if kind not in ("adam", "sgd"):
        raise UsageError(unknown("optimizer", kind, ["adam", "sgd=MOMENTUM"]))
    try:
        momentum = float(text) if kind == "sgd" else -1.0
    except ValueError:
        momentum = -1.0
    if not 0 <= momentum < 1:
        form = "sgd=MOMENTUM, 0 or more and below 1" if kind == "sgd" else "adam without a value"
        raise UsageError(f"optimizer {name!r} was given, expected {form}")
    return kind, momentum


def check_optimizer(name: str) -> None:
    """Raise UsageError for an unknown optimizer, or a momentum out of 0..1; "" is AdamW."""
    parse_optimizer(name)


def check_settings(recipe: Recipe, known: HeadSettings, where: str) -> None:
    """Raise UsageError for settings of training that the heads of a protocol do not have.

    where: the protocol and its kind of target, for messages, as "finetune on masks".
    """
    recipe_schedule(recipe, Schedule(linear_decay), 1)  # which checks its name and its floor
    check_optimizer(recipe.optimizer)
    for what, name, names in (
        ("head", recipe.head, known.heads),
        ("loss", recipe.loss, known.losses),
    ):
        if name and name not in names:
            raise UsageError(f"{unknown(what, name, names or ['none'])} Asked for {where}.")
    for name in OPTIONAL:
        if getattr(recipe, name) and name not in known.optional:
            raise UsageError(
                f"{name} was given for {where}, which has no {OPTIONAL[name]}; leave it out"
            )
    for name in SHARES:
        if not 0 <= (value := getattr(recipe, name)) <= 1:
            raise UsageError(f"Expected {name} to be a share, 0 to 1, but got {value:g}.")


def check_rates(recipe: Recipe, trains_backbone: bool) -> None:
    """Raise UsageError for rates that are no positive numbers, or that cannot be searched.

    They can for heads that are trained step by step on a frozen backbone.
    """
    for text in recipe.rates:
        try:
            valid = 0 < float(text) < math.inf
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(f"Expected rates to be positive numbers, but got {text!r}.")
    if recipe.rates and trains_backbone:
        raise UsageError(
            "Rates to choose from are for protocols with a frozen backbone; give --set lr=... to "
            f"{recipe.protocol}."
        )
    if recipe.rates and not (recipe.epochs or recipe.iterations):
        raise UsageError(
            f"Rates were given to {recipe.protocol}, whose heads have no learning rate; leave "
            "--set rates out."
        )
