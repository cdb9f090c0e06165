"""Records: their path, main score, sensors, and the description of scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from skybench.core import FAULTS, FLAGS, Record, ScoreInfo
from skybench.core.record import with_fields
from skybench.core.score import score_info_to_json

RECORD = Record(
    "toy", "scene_classification", "aid", {"protocol": "knn"}, "measured", "real", "0123456789",
    {"oa": 71.0, "aa": 70.0}, used={"sensors": ["s1", "s2"]},
)  # fmt: skip


def test_a_record_lies_where_its_cell_says() -> None:
    assert RECORD.path == Path("scene_classification/aid/toy.knn.s1+s2.01234567.json")
    assert replace(RECORD, used={}).path.name == "toy.knn.none.01234567.json"


def test_the_first_score_is_the_main_one() -> None:
    assert RECORD.main == ("oa", 71.0)
    assert replace(RECORD, scores={}).main is None


def test_predictions_without_labels_completed_too() -> None:
    completed = [
        replace(RECORD, status=status).came_out
        for status in ("measured", "predicted", "cannot run", "failed")
    ]
    assert completed == [True, True, False, False]


def test_a_score_is_a_percentage_unless_the_record_describes_it() -> None:
    rmse = ScoreInfo(False, "t/ha", 0.0, float("inf"))
    described = replace(RECORD, used={"score_info": {"rmse": score_info_to_json(rmse)}})
    assert described.score_info("rmse") == rmse
    assert described.score_info("oa") == RECORD.score_info("oa") == ScoreInfo()


def test_faults_are_flags() -> None:
    assert {*FLAGS} > FAULTS


def test_other_fields_are_those_of_replace() -> None:
    changes: dict[str, Any] = {"scores": {"aa": 70.0}, "flags": ["chance"]}
    assert RECORD.main == ("oa", 71.0)
    made = with_fields(RECORD, **changes)
    assert made == replace(RECORD, **changes)
    assert made.main == ("aa", 70.0)  # not the one that was asked for before
    assert (RECORD.flags, RECORD.main) == ([], ("oa", 71.0))
