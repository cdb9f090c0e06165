"""The tables of docs/performance.md: `python benchmarks/update.py`."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


@pytest.fixture(scope="module")
def update() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "update.py"))


def test_the_page_is_up_to_date(update: dict[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert update["with_tables"](text) == text, "run python benchmarks/update.py"
    with pytest.raises(ValueError, match="no place for the table 'measured'"):
        update["with_tables"]("nothing")


def test_bytes_of_decoded_images_are_those_of_their_sides(update: dict[str, Any]) -> None:
    rows = {line.split("`")[1]: line.split(" | ") for line in update["sets"]() if "`" in line}
    assert rows["isaid"][1:5] == ["45,622", "896", "1", "110"]  # x 896 x 896 x 3 bytes
    assert rows["levir_cd"][3:5] == ["2", "4.01"]  # both dates
    assert "fair1m" not in rows


def test_hours_are_of_all_models_but_the_floors(update: dict[str, Any]) -> None:
    head, _, *rows = update["hours"]()
    assert "hours of 34 models" in head
    assert len(rows) == 7
    assert len(update["cards"]()) == 16
