from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.checks import flags as flag_rules
from skybench.core import CONVERT, FAULTS, FLAGS, REFLECTANCE, UINT8, BandMapping, Record, ScoreInfo


@pytest.mark.parametrize(
    ("score", "error", "chance", "alarm"),
    [(10.0, 0.0, 10.0, True), (9.0, 0.0, 10.0, True), (12.9, 1.0, 10.0, True),
     (13.1, 1.0, 10.0, False), (10.1, 0.0, 10.0, False)],
)  # fmt: skip
def test_chance_is_all_that_is_not_above_it_by_3_errors(
    score: float, error: float, chance: float, alarm: bool
) -> None:
    assert flag_rules.is_chance(score, error, chance, ScoreInfo()) is alarm


@pytest.mark.parametrize(
    ("score", "higher", "alarm"),
    [(9.0, False, False), (11.9, False, True), (12.5, False, True), (8.0, False, False),
     (12.5, None, True), (-8.0, None, False), (-12.0, None, True)],
)  # fmt: skip
def test_chance_follows_the_direction_of_the_score(
    score: float, higher: bool | None, alarm: bool
) -> None:
    chance = 12.0 if higher is None or score > 10 else 12.1
    info = ScoreInfo(higher, "t/ha", 0.0, float("inf"))
    assert flag_rules.is_chance(score, 1.0, chance, info) is alarm


def test_a_conversion_by_convention_is_noticed() -> None:
    exact = BandMapping("a", (0,), CONVERT[UINT8, UINT8])
    nominal = BandMapping("b", (0,), CONVERT[UINT8, REFLECTANCE])
    assert not flag_rules.uses_convention({"hr": exact})
    assert flag_rules.uses_convention({"hr": exact, "s2": nominal})


MEASURED = Record(
    "rcf", "scene_classification", "aid", {"protocol": "knn"}, "measured", "real", "f" * 64,
    {"oa": 50.0}, {"oa": 0.0}, {"oa": [40.0, 60.0]}, {"a": {"recall": 50.0}}, [{"seed": 0}],
    used={"alarms": {"band order": "s2: in reverse"}},
)  # fmt: skip


def test_strict_takes_the_scores_of_a_faulty_record_and_says_why() -> None:
    strict = flag_rules.strict(replace(MEASURED, flags=["limited", "chance", "band order"]))
    assert strict.status == "failed"
    assert strict.note == (f"--strict: chance ({FLAGS['chance']}); band order (s2: in reverse)")
    assert not any((strict.scores, strict.spread, strict.intervals, strict.per_class, strict.seeds))
    assert strict.flags == ["limited", "chance", "band order"]
    assert strict.path == MEASURED.path


@pytest.mark.parametrize("flags", [[], sorted(set(FLAGS) - FAULTS)])
def test_strict_leaves_conditions_alone(flags: list[str]) -> None:
    record = replace(MEASURED, flags=flags)
    assert flag_rules.strict(record) == record
    failed = replace(MEASURED, status="failed", flags=["chance"], note="OSError: disk")
    assert flag_rules.strict(failed) == failed


def test_faults_are_not_conditions() -> None:
    conditions = {"random weights", "tiny variant", "nominal units", "own split", "limited",
                  "override", "repeated epochs", "loss still falling", "other versions",
                  "identity by names only", "former recipe"}  # fmt: skip
    assert set(FLAGS) - FAULTS == conditions
    assert set(FLAGS) > FAULTS
