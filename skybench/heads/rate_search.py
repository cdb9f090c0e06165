"""The choice of a learning rate: a short training with each, scored on held-out training data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from skybench.core import Diverged, FitContext, Head, Recipe, Source
from skybench.data.subsampling import hold_out
from skybench.heads.dense import CHUNK, Standardise
from skybench.heads.shared_features import DivisibleSource, SharedFeatures
from skybench.training.lockstep import Stepwise, run_in_lockstep
from skybench.training.recipe_check import check_rates

HELD_OUT = 0.2  # share of the independent units of the training samples
STEPS = 500  # most steps with each rate
COST = 2.0  # most steps with all rates together, as a multiple of those of the training itself
NOT_CHOSEN = "the learning rate was not chosen: {}"


@runtime_checkable
class StepwiseHead(Head, Protocol):
    """A head that can pause in its training after each step, and reads feature pyramids."""

    def fit_stepwise(
        self, train: Source, val: Source | None, setting: FitContext
    ) -> Stepwise[Mapping[str, Any]]: ...


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


def choose_rate(
    recipe: Recipe, train: DivisibleSource, setting: FitContext, build: Callable[[Recipe], Head]
) -> tuple[Recipe, dict[str, Any]]:
    """Choose one of a recipe's rates; return the recipe with it and facts for the record.

    A fifth of the training samples, by whole independent units, is held out. A head of each rate
    is trained on the others with equal initial weights and order, for `search_steps`, and scored
    by the main score; of equal scores the lower rate is chosen. A rate whose loss diverges scores
    NaN. The recipe's own rate stays where none has a score. Without rates nothing is done. Heads
    that can pause take their steps, and predict, in turn: features are read once for all rates.

    build: returns a new head for a recipe. The choice depends on seed and data alone; nothing is
    written, so a search that is interrupted starts anew. Raises UsageError, see `check_rates`.
    """
    if not recipe.rates:
        return recipe, {}
    check_rates(recipe, setting.backbone is not None)
    fixed = replace(recipe, rates=())
    stay, out = hold_out((0,) * len(train), HELD_OUT, setting.seed, setting.groups)
    if not out or setting.validation_scores is None:
        return fixed, {"note": NOT_CHOSEN.format("no training sample can be held out")}
    steps = search_steps(recipe, len(train))
    short = replace(fixed, iterations=steps, validate=0, patience=0, state="")
    rates = sorted(recipe.rates, key=float)
    heads = [build(replace(short, lr=float(text))) for text in rates]
    alone, most = _in_memory(setting, rates), max(recipe.batch, CHUNK)
    found = _scores(heads, train.subset(stay), train.subset(out), alone, most)
    scores = dict(zip(rates, found, strict=True))
    best = next(iter(scores))
    for text, score in scores.items():
        best = text if setting.score_info.better(score, scores[best]) else best
    told = {"sweep": {text: _told(score) for text, score in scores.items()}, "rate_steps": steps}
    if math.isnan(scores[best]):
        return fixed, {**told, "note": NOT_CHOSEN.format("no score on held-out samples counts")}
    return replace(fixed, lr=float(best)), {"rate": float(best), **told}


def _in_memory(setting: FitContext, rates: Sequence[str]) -> FitContext:
    """The context of trainings that leave nothing behind; of each step one of them reports."""
    name, latest = f"rates {', '.join(rates)}", [0]

    def report(stage: str, done: int, total: int) -> None:
        if done > latest[0]:
            latest[0] = done
            setting.report(f"{name}: {stage}", done, total)

    return setting._replace(
        report=report, other_state=None, groups=(), folder=None, keep_weights=False,
        tensorboard=False,
    )  # fmt: skip


def _scores(
    heads: Sequence[Head], train: DivisibleSource, held: DivisibleSource, setting: FitContext,
    most: int,
) -> list[float]:  # fmt: skip
    """The score of each head on held-out samples after its training; NaN if it diverged.

    most: samples whose features are held for the other heads.
    """
    if all(isinstance(head, StepwiseHead) for head in heads):
        scale = Standardise(train).to(setting.device)
        shared = SharedFeatures(train, scale, setting, most)
        train, held = shared, SharedFeatures(held, scale, setting, most)
        setting = setting._replace(on_epoch_start=shared.begin_epoch)
    setting = setting._replace(prefetch=train.prefetch)
    trainings = [_training(head, train, setting) for head in heads]
    outcomes = run_in_lockstep(trainings, setting.device)
    trained = [h for h, o in zip(heads, outcomes, strict=True) if not isinstance(o, Diverged)]
    scores = iter(setting.validation_scores(trained, held) if setting.validation_scores else ())
    return [math.nan if isinstance(o, Diverged) else next(scores, math.nan) for o in outcomes]


def _training(head: Head, train: Source, setting: FitContext) -> Stepwise[Mapping[str, Any]]:
    """The training of a head, at once if it cannot pause."""
    if isinstance(head, StepwiseHead):
        return (yield from head.fit_stepwise(train, None, setting))
    return head.fit(train, None, setting)


def _told(score: float) -> float | None:
    """The score as the record stores it: JSON has no NaN."""
    return round(score, 4) if math.isfinite(score) else None
