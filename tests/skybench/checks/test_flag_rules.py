from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.checks import flags as flag_rules
from skybench.core import CONVERT, FAULTS, FLAGS, REFLECTANCE, UINT8, Found, Record


@pytest.mark.parametrize(
    ("score", "error", "chance", "alarm"),
    [(10.0, 0.0, 10.0, True), (9.0, 0.0, 10.0, True), (12.9, 1.0, 10.0, True),
     (13.1, 1.0, 10.0, False), (10.1, 0.0, 10.0, False)],
)  # fmt: skip
def test_chance_is_all_that_is_not_above_it_by_3_errors(
    score: float, error: float, chance: float, alarm: bool
) -> None:
    assert flag_rules.is_chance(score, error, chance) is alarm


def test_a_conversion_by_convention_is_noticed() -> None:
    exact = Found("a", (0,), CONVERT[UINT8, UINT8])
    nominal = Found("b", (0,), CONVERT[UINT8, REFLECTANCE])
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
                  "override"}  # fmt: skip
    assert set(FLAGS) - FAULTS == conditions
    assert set(FLAGS) > FAULTS
