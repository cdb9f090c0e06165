"""Scores for readers: decimals, unit, and an arrow where lower is better."""

from __future__ import annotations

from skybench.core import Record, ScoreInfo
from skybench.core.score import PERCENT
from skybench.records.labels import METRIC_NAMES

POINTS = "points"  # of a difference of two percentages


def score_text(value: float, info: ScoreInfo, decimals: int = 2, sign: bool = False) -> str:
    """Return a score without its unit; one that is no percentage has 4 significant digits.

    >>> score_text(71.256, ScoreInfo()), score_text(0.12345, ScoreInfo(False, "t/ha"))
    ('71.26', '0.1235')
    """
    plus = "+" if sign else ""
    return f"{value:{plus}.{decimals}f}" if info.unit == PERCENT else f"{value:{plus}.4g}"


def interval_text(low: float, high: float, info: ScoreInfo) -> str:
    """Return an interval as "[low, high]".

    >>> interval_text(70.04, 72.5, ScoreInfo())
    '[70.0, 72.5]'
    """
    return f"[{score_text(low, info, 1)}, {score_text(high, info, 1)}]"


def spread_over_seeds(record: Record, name: str) -> float | None:
    """Return the standard deviation of a score over seeds; None where there is none to show.

    That is with one seed, and where all seeds have the same score: the fit is deterministic, and
    a deviation of 0 would say that the score is known exactly.
    """
    if len(record.seeds) < 2:
        return None
    values = {seed.get("scores", {}).get(name) for seed in record.seeds}
    same = len(values) == 1 and None not in values
    return None if same else record.spread.get(name)


def score_heading(name: str, info: ScoreInfo) -> str:
    """Return a score's name for a column, with its unit unless that is percent.

    >>> score_heading("rmse", ScoreInfo(False, "t/ha", 0.0, float("inf")))
    'rmse [t/ha] ↓'
    >>> score_heading("oa", ScoreInfo())
    'OA'
    """
    unit = "" if info.unit in ("", PERCENT) else f"[{info.unit}]"
    arrow = {True: "", False: "↓", None: "→ 0"}[info.higher_is_better]
    return " ".join(filter(None, (METRIC_NAMES.get(name, name), unit, arrow)))


def round_score(value: float, info: ScoreInfo) -> float:
    """Round a score for storage: percentages to 4 decimals, others to 6 significant digits.

    >>> round_score(71.25634, ScoreInfo()), round_score(0.00123456789, ScoreInfo(False, "m"))
    (71.2563, 0.00123457)
    """
    return round(value, 4) if info.unit == PERCENT else float(f"{value:.6g}")


def unit_text(unit: str) -> str:
    """Return the unit of a difference: "points" of percentages, "" of ratios without unit."""
    return POINTS if unit == PERCENT else unit
