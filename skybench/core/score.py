"""Scores: the direction in which they improve, their unit and their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

PERCENT = "%"


class ScoreInfo(NamedTuple):
    """The direction, unit and bounds of a score; by default a percentage, higher is better."""

    higher_is_better: bool | None = True  # None: neither, as for a bias, whose best value is 0
    unit: str = PERCENT  # "" for a ratio without unit, as R2
    low: float = 0.0  # lower bound, may be -inf
    high: float = 100.0  # upper bound, may be inf

    @property
    def best(self) -> float:
        """The score of a perfect prediction."""
        if self.higher_is_better is None:
            return 0.0
        return self.high if self.higher_is_better else self.low

    def better(self, a: float, b: float) -> bool:
        """Return whether score `a` is strictly better than `b`; NaN is worse than any number."""
        if math.isnan(b):
            return not math.isnan(a)
        if self.higher_is_better is None:
            return abs(a) < abs(b)
        return a > b if self.higher_is_better else a < b

    def gain(self, a: float, b: float) -> float:
        """Return by how much `a` is better than `b`, in the score's unit; negative if worse."""
        if self.higher_is_better is None:
            return abs(b) - abs(a)
        return a - b if self.higher_is_better else b - a


def score_info(metric: Any, name: str) -> ScoreInfo:
    """Return what `metric.info` declares about a score; by default, a percentage.

    >>> score_info(object(), "oa").best
    100.0
    """
    info: Mapping[str, ScoreInfo] = getattr(metric, "info", {})
    return info.get(name, ScoreInfo())


def score_info_to_json(info: ScoreInfo) -> dict[str, Any]:
    """Return it as plain JSON, with None for infinite bounds."""
    bounds = {
        n: v if math.isfinite(v) else None for n, v in (("low", info.low), ("high", info.high))
    }
    return {"higher_is_better": info.higher_is_better, "unit": info.unit, **bounds}


def score_info_from_json(raw: Mapping[str, Any]) -> ScoreInfo:
    """Restore what `score_info_to_json` returned."""
    low, high = raw.get("low"), raw.get("high")
    return ScoreInfo(
        raw.get("higher_is_better", True),
        raw.get("unit", PERCENT),
        -math.inf if low is None else float(low),
        math.inf if high is None else float(high),
    )
