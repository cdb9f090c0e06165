from __future__ import annotations

import math

import pytest

from skybench.analysis.score_text import (
    interval_text,
    score_heading,
    score_text,
    spread_over_seeds,
    unit_text,
)
from skybench.core import Record, ScoreInfo

ERROR, R2 = ScoreInfo(False, "t/ha", 0.0, math.inf), ScoreInfo(True, "", -math.inf, 1.0)
BIAS = ScoreInfo(None, "t/ha", -math.inf, math.inf)


@pytest.mark.parametrize(
    ("name", "info", "heading"),
    [("miou", ScoreInfo(), "mIoU"), ("rmse", ERROR, "rmse [t/ha] ↓"), ("r2", R2, "r2"),
     ("bias", BIAS, "bias [t/ha] → 0")],
)  # fmt: skip
def test_a_heading_has_unit_and_direction(name: str, info: ScoreInfo, heading: str) -> None:
    assert score_heading(name, info) == heading


def test_percentages_have_decimals_and_other_units_digits() -> None:
    assert score_text(71.2, ScoreInfo()) == "71.20"
    assert score_text(1.2, ScoreInfo(), sign=True) == "+1.20"
    assert score_text(12345.6, ERROR) == "1.235e+04"
    assert interval_text(0.5, 12.25, R2) == "[0.5, 12.25]"
    assert [unit_text(u) for u in ("%", "", "t/ha")] == ["points", "", "t/ha"]


@pytest.mark.parametrize(
    ("scores", "shown"), [([70.0, 72.0], 1.4), ([70.0, 70.0, 70.0], None), ([70.0], None)]
)
def test_a_spread_is_shown_only_where_seeds_differ(
    scores: list[float], shown: float | None
) -> None:
    seeds = [{"seed": i, "scores": {"oa": score}} for i, score in enumerate(scores)]
    spread = {"oa": 1.4 if shown else 0.0}
    record = Record("m", "t", "d", {}, "measured", "real", "", {"oa": 70.0}, spread, seeds=seeds)
    assert spread_over_seeds(record, "oa") == shown
