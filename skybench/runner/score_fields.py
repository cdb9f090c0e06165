"""The fields of a record that hold scores: means, spread, intervals, per class and per seed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skybench.analysis import bootstrap
from skybench.analysis.intervals import Interval, Uncertainty
from skybench.analysis.score_text import round_score
from skybench.core import ScoreInfo
from skybench.core.score import score_info_to_json
from skybench.plan.cell import Cell
from skybench.runner.seed_run import Outcome


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
            {"seed": o.seed, "scores": rounded(s), "chosen": o.chosen}
            for o, s in zip(outcomes, every, strict=True)
        ],
    }


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
