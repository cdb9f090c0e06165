from __future__ import annotations

import math

import pytest

from skybench.analysis.score_text import interval_text, score_heading, score_text, unit_text
from skybench.core import ScoreInfo

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
