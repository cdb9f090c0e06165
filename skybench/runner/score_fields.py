"""The fields of a record that hold scores: means, spread, intervals, per class and per seed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from skybench.analysis import bootstrap
from skybench.analysis.intervals import Interval, Uncertainty
from skybench.analysis.score_text import round_score
from skybench.checks.selection import best_state
from skybench.core import ScoreInfo
from skybench.core.score import score_info_to_json
from skybench.plan.cell import Cell
from skybench.runner.seed_run import Outcome

Rounding = Callable[[Mapping[str, float]], dict[str, float]]


def score_fields(
    cell: Cell,
    outcomes: Sequence[Outcome],
    every: Sequence[Mapping[str, float]],
    infos: Mapping[str, ScoreInfo],
    bands: Mapping[str, Interval],
) -> dict[str, Any]:
    """Return the record's fields that hold scores, rounded.

    every: the scores of each outcome. bands: the intervals of their means.
    """
    rounded = functools.partial(_rounded, infos)
    classes = outcomes[0].metric.per_class() if cell.scored else {}
    return {
        "scores": rounded({n: float(np.mean([s[n] for s in every])) for n in infos}),
        "spread": rounded({n: bootstrap.seed_deviation([s[n] for s in every]) for n in infos}),
        "intervals": {
            n: [round_score(b.low, infos[n]), round_score(b.high, infos[n])]
            for n, b in bands.items()
        },
        "per_class": {c: rounded(v) for c, v in classes.items()},
        "seeds": [
            {
                "seed": o.seed,
                "scores": rounded(s),
                "chosen": o.chosen,
                **_states(cell, o, s, rounded),
            }
            for o, s in zip(outcomes, every, strict=True)
        ],
    }


def _states(
    cell: Cell, outcome: Outcome, scores: Mapping[str, float], rounded: Rounding
) -> dict[str, Any]:
    """The scores of a seed's last and of its best state, where training was scored."""
    if not scores or not outcome.chosen.get("validation"):
        return {}
    best, other = best_state(cell), scores if outcome.other is None else outcome.other
    both = (scores, other) if cell.recipe.counting == "last" else (other, scores)
    return {"states": dict(zip(("last", best), map(rounded, both), strict=True))}


def state_facts(
    cell: Cell,
    outcomes: Sequence[Outcome],
    every: Sequence[Mapping[str, float]],
    infos: Mapping[str, ScoreInfo],
) -> dict[str, Any]:
    """Return which state of the training the record's scores are of, and those of both states.

    {} where nothing was trained in steps. "states" holds means over seeds, as `Record.scores`,
    where training was scored: of the last state and of the best one, by `best_state`.
    """
    if not cell.protocol.trains_stepwise:
        return {}
    counting = "last" if cell.recipe.counting == "last" else best_state(cell)
    found = [
        _states(cell, o, s, dict).get("states", {}) for o, s in zip(outcomes, every, strict=True)
    ]
    rounded = functools.partial(_rounded, infos)
    means = {
        state: rounded({n: float(np.mean([f[state][n] for f in found])) for n in infos})
        for state in found[0]
    }
    return {"state": counting, **({"states": means} if means else {})}


def _rounded(infos: Mapping[str, ScoreInfo], values: Mapping[str, float]) -> dict[str, float]:
    """Rounded scores without NaN (no pixel of any class), which JSON does not have."""
    usual = ScoreInfo()
    return {n: round_score(v, infos.get(n, usual)) for n, v in values.items() if v == v}


def uncertainty_facts(sure: Uncertainty, infos: Mapping[str, ScoreInfo]) -> dict[str, Any]:
    """Return the main score's standard error, the independent units, and why no interval is."""
    error = sure.errors.get(next(iter(infos), ""), 0.0)
    facts: dict[str, Any] = {"error": error, "units": sure.units}
    return facts | ({"no_interval": sure.note} if sure.note else {})


def stated_infos(infos: Mapping[str, ScoreInfo]) -> dict[str, Any]:
    """Direction, unit and bounds of the scores that are no plain percentages."""
    other = {n: score_info_to_json(i) for n, i in infos.items() if i != ScoreInfo()}
    return {"score_info": other} if other else {}
