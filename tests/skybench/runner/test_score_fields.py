from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from skybench.analysis.intervals import Interval, Uncertainty
from skybench.core import ScoreInfo
from skybench.runner.score_fields import score_fields, stated_infos, uncertainty_facts

RMSE = ScoreInfo(False, "t/ha", 0.0, math.inf)


def test_percentages_keep_four_decimals_and_other_units_six_digits() -> None:
    cell: Any = SimpleNamespace(scored=True)
    metric = SimpleNamespace(per_class=lambda: {"crop": {"recall": 12.345678}})
    outcomes: Any = [SimpleNamespace(metric=metric, seed=n, chosen={}) for n in (0, 1)]
    every = [{"oa": 50.0, "rmse": 0.000123456789}, {"oa": 51.00001, "rmse": 0.000123456789}]
    bands = {"rmse": Interval(0.0001234567, math.pi, 1.0)}
    found = score_fields(cell, outcomes, every, {"oa": ScoreInfo(), "rmse": RMSE}, bands)
    assert found["scores"] == {"oa": 50.5, "rmse": 0.000123457}
    assert found["intervals"] == {"rmse": [0.000123457, 3.14159]}
    assert found["per_class"] == {"crop": {"recall": 12.3457}}
    assert [s["scores"]["oa"] for s in found["seeds"]] == [50.0, 51.0]


def test_only_scores_that_are_no_percentages_are_described() -> None:
    assert stated_infos({"oa": ScoreInfo()}) == {}
    assert stated_infos({"oa": ScoreInfo(), "rmse": RMSE}) == {
        "score_info": {
            "rmse": {"higher_is_better": False, "unit": "t/ha", "low": 0.0, "high": None}
        }
    }


def test_the_main_scores_error_the_units_and_a_missing_interval_are_told() -> None:
    sure = Uncertainty(3, {}, {"oa": 1.5, "rmse": 2.0}, "3 independent test images: no interval")
    facts = uncertainty_facts(sure, {"rmse": RMSE, "oa": ScoreInfo()})
    assert facts == {"error": 2.0, "units": 3, "no_interval": sure.note}
    assert uncertainty_facts(Uncertainty(0, {}, {}, ""), {}) == {"error": 0.0, "units": 0}
