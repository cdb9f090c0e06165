"""Scores: the better of two, the best, and what a record keeps of a description."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from skybench.core import ScoreInfo, score_info
from skybench.core.score import score_info_from_json, score_info_to_json

RMSE = ScoreInfo(False, "t/ha", high=math.inf)
BIAS = ScoreInfo(None, "t/ha", -math.inf, math.inf)
R2 = ScoreInfo(True, "", -math.inf, 1.0)


def test_the_score_of_a_perfect_prediction() -> None:
    assert [info.best for info in (ScoreInfo(), RMSE, BIAS, R2)] == [100.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("info", "good", "bad", "gain"),
    [(ScoreInfo(), 71.0, 70.0, 1.0), (RMSE, 3.0, 5.0, 2.0), (BIAS, -1.0, 3.0, 2.0)],
    ids=["percentage", "rmse", "bias"],
)
def test_the_better_of_two_scores(info: ScoreInfo, good: float, bad: float, gain: float) -> None:
    assert info.better(good, bad)
    assert not info.better(bad, good)
    assert not info.better(good, good)
    assert info.gain(good, bad) == gain
    assert info.gain(bad, good) == -gain


def test_a_bias_is_as_good_as_its_opposite() -> None:
    assert not BIAS.better(-2.0, 2.0)
    assert BIAS.gain(-2.0, 2.0) == 0


def test_nan_is_worse_than_any_number() -> None:
    for info in (ScoreInfo(), RMSE, BIAS):
        assert not info.better(math.nan, 1.0)
        assert info.better(1.0, math.nan)
        assert not info.better(math.nan, math.nan)


def test_a_metric_describes_the_scores_that_are_no_percentages() -> None:
    metric = SimpleNamespace(info={"rmse": RMSE})
    assert score_info(metric, "rmse") == RMSE
    assert score_info(metric, "oa") == score_info(object(), "rmse") == ScoreInfo()


@pytest.mark.parametrize("info", [ScoreInfo(), RMSE, BIAS, R2])
def test_a_description_comes_back_from_json(info: ScoreInfo) -> None:
    text = json.dumps(score_info_to_json(info), allow_nan=False)  # no "Infinity", which is not JSON
    assert score_info_from_json(json.loads(text)) == info
