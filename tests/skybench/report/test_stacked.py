"""Tables in a narrow terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.report import stacked
from skybench.report.tables import Grid, to_text

GRID = Grid(
    "scene_classification, knn",
    ("model", "variant", "weights", "data", "settings", "aid 20 % OA", "eurosat [3fa9c1] OA"),
    (
        ("imagenet", "full", "57934424", "real", "size=64 seeds=3", "71.23 ± 0.50 [69.0, 73.0] (o)",
         "91.00 [89.0, 93.0]"),
        ("rcf", "full", "none", "real", "", "51.23 [49.0, 53.0]", ""),
    ),
    ("In percent; [low, high] is a 95 % interval over test images, one of many words.",),
    frozenset({(0, 5)}),
)  # fmt: skip


def test_what_fits_is_a_table_of_columns() -> None:
    assert stacked.fit_text(GRID, 0) == to_text(GRID)
    wide = stacked.fit_text(GRID, 200)
    assert wide.splitlines()[:6] == to_text(GRID).splitlines()[:6]
    assert stacked.text_tables([], 80) == "No records."


def test_in_80_columns_scores_stand_below_each_other() -> None:
    lines = stacked.text_tables([GRID], 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2:9] == [
        "imagenet  full  57934424  real  size=64 seeds=3",
        "  aid 20 % OA          71.23 ± 0.50 [69.0, 73.0] (o)*",
        "  eurosat [3fa9c1] OA  91.00 [89.0, 93.0]",
        "",
        "rcf  full  none  real",
        "  aid 20 % OA          51.23 [49.0, 53.0]",
        "",
    ]
    assert lines[9].startswith("In percent")


@pytest.mark.parametrize("width", [0, 30, 80, 200])
def test_colour_changes_nothing_but_the_colour_of_red_cells(width: int) -> None:
    grid = replace(GRID, red=frozenset({(1, 5)}))
    painted = stacked.text_tables([grid], width, colour=True)
    assert "\x1b[31m51.23 [49.0, 53.0]" in painted or "\x1b[31m    51.23" in painted
    assert "\x1b[31m71" not in painted
    plain = stacked.text_tables([grid], width)
    assert plain == stacked.text_tables([GRID], width)
    assert painted.replace("\x1b[31m", "").replace("\x1b[0m", "") == plain


@pytest.mark.parametrize("width", [20, 40, 60])
def test_no_word_of_a_score_is_lost(width: int) -> None:
    text = " ".join(stacked.to_stacked(GRID, width).split())
    for row in GRID.rows:
        for cell in filter(None, row):
            assert all(word in text for word in cell.split())


@given(st.lists(st.text(st.characters(codec="ascii", min_codepoint=33), max_size=30), min_size=1))
@settings(derandomize=True, deadline=None)
def test_any_texts_fit(texts: list[str]) -> None:
    header = ("model", *(f"column {i}" for i in range(len(texts))))
    grid = Grid("title", header, (("m", *texts),), ())
    assert max(map(len, stacked.fit_text(grid, 50).splitlines())) <= 50
