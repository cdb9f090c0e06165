"""The choice of a learning rate: a short training with each, scored on held-out training data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

from skybench.core import Diverged, FitContext, Head, Recipe, Source, UsageError
from skybench.data.subsampling import hold_out

HELD_OUT = 0.2  # share of the independent units of the training samples
STEPS = 500  # most steps with each rate
COST = 2.0  # most steps with all rates together, as a multiple of those of the training itself
NOT_CHOSEN = "the learning rate was not chosen: {}"


class DivisibleSource(Source, Protocol):
    """A source of which subsets can be taken."""

    def subset(self, indices: Sequence[int]) -> Self: ...
    def prefetch(self, indices: Sequence[int]) -> None: ...


def search_steps(recipe: Recipe, count: int) -> int:
    """Return the training steps that each of a recipe's rates gets on `count` training samples.

    >>> search_steps(Recipe("linear", iterations=1000, rates=("1e-3", "1e-2", "1e-1")), 48)
    500
    >>> search_steps(Recipe("linear", iterations=60, rates=("1e-3", "1e-2", "1e-1")), 48)
    40
    """
    if not recipe.rates:
        return 0
    steps = recipe.steps(count)
    return max(1, min(steps, STEPS, int(COST * steps / len(recipe.rates))))


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


def choose_rate(
    recipe: Recipe, train: DivisibleSource, setting: FitContext, build: Callable[[Recipe], Head]
) -> tuple[Recipe, dict[str, Any]]:
    """Choose one of a recipe's rates; return the recipe with it and facts for the record.

    A fifth of the training samples, by whole independent units, is held out. A head of each rate
    is trained on the others with equal initial weights and order, for `search_steps`, and scored
    by the main score; of equal scores the lower rate is chosen. A rate whose loss diverges scores
    NaN. The recipe's own rate stays where none has a score. Without rates nothing is done.

    build: returns a new head for a recipe. The choice depends on seed and data alone; nothing is
    written, so a search that is interrupted starts anew. Raises UsageError, see `check_rates`.
    """
    if not recipe.rates:
        return recipe, {}
    check_rates(recipe, setting.backbone is not None)
    fixed = replace(recipe, rates=())
    stay, out = hold_out((0,) * len(train), HELD_OUT, setting.seed, setting.groups)
    if not out or setting.validation_score is None:
        return fixed, {"note": NOT_CHOSEN.format("no training sample can be held out")}
    steps = search_steps(recipe, len(train))
    short = replace(fixed, iterations=steps, validate=0, patience=0, state="")
    scores: dict[str, float] = {}
    for text in sorted(recipe.rates, key=float):
        name = f"rate {len(scores) + 1}/{len(recipe.rates)} ({text})"
        head = build(replace(short, lr=float(text)))
        alone = _in_memory(setting, name, train.subset(stay))
        scores[text] = _score(head, train.subset(stay), train.subset(out), alone)
    best = next(iter(scores))
    for text, score in scores.items():
        best = text if setting.score_info.better(score, scores[best]) else best
    told = {"sweep": {text: _told(score) for text, score in scores.items()}, "rate_steps": steps}
    if math.isnan(scores[best]):
        return fixed, {**told, "note": NOT_CHOSEN.format("no score on held-out samples counts")}
    return replace(fixed, lr=float(best)), {"rate": float(best), **told}


def _in_memory(setting: FitContext, name: str, train: DivisibleSource) -> FitContext:
    """The context of a training that leaves nothing behind and reports under a name."""

    def report(stage: str, done: int, total: int) -> None:
        setting.report(f"{name}, {stage}", done, total)

    return setting._replace(
        report=report, prefetch=train.prefetch, other_state=None, groups=(), folder=None,
        keep_weights=False, tensorboard=False,
    )  # fmt: skip


def _score(head: Head, train: Source, held: Source, setting: FitContext) -> float:
    try:
        head.fit(train, None, setting)
    except Diverged:
        return math.nan
    return math.nan if setting.validation_score is None else setting.validation_score(head, held)


def _told(score: float) -> float | None:
    """The score as the record stores it: JSON has no NaN."""
    return round(score, 4) if math.isfinite(score) else None
