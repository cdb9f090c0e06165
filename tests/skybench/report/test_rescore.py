from __future__ import annotations

from pathlib import Path

from skybench.report import rescore
from tests.conftest import Made


def test_every_score_has_its_unit_and_the_recorded_value(made: Made, tmp_path: Path) -> None:
    record = made("rcf", [True] * 9 + [False])
    rows, missing = rescore.rescored([record], tmp_path)
    assert missing == []
    assert [row["metric"] for row in rows] == ["oa", "aa"]
    assert rows[0]["score"] == rows[0]["recorded"] == 90.0
    assert {(row["unit"], row["higher_is_better"]) for row in rows} == {("%", True)}
