from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from skybench.core import FLAGS, Record
from skybench.records.labels import RED
from skybench.report import tables


def make(model: str = "imagenet", **changes: Any) -> Record:
    recipe = {"protocol": "knn", "label": "20 %", "seeds": 1, "fraction": 1.0, "limit": 0}
    record = Record(
        model, "scene_classification", "aid", recipe, "measured", "real", "f" * 64,
        {"oa": 71.234, "aa": 70.0}, {"oa": 0.5, "aa": 0.4}, {"oa": [69.0, 73.0]},
        seeds=[{"seed": 0}], used={"sensors": ["hr"], "weights": "ab" * 32, "variant": "full"},
        made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(record, **changes)


RANDOM = make(
    "skysense",
    flags=["random weights"],
    used={"sensors": ["hr"], "weights": "random", "variant": "tiny"},
)
DEMO = make("rcf", data="demo")


@pytest.mark.parametrize("form", ["text", "md", "latex"])
def test_random_weights_and_demo_data_are_marked_in_every_row_of_tables(form: str) -> None:
    lines = tables.render_tables([make(), RANDOM, DEMO], form).splitlines()
    row = {m: next(x for x in lines if m in x and "71.23" in x) for m in ("skysense", "rcf")}
    assert "random" in row["skysense"]
    assert "(r)" in row["skysense"]
    assert "demo" in row["rcf"]
    assert any("DEMO DATA" in line for line in lines)
    assert any(FLAGS["random weights"] in line for line in lines)


def test_random_weights_and_demo_data_are_marked_in_csv_and_json() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.render_tables([make(), RANDOM, DEMO], "csv"))))
    assert [(r["weights"], r["data"]) for r in rows] == [
        ("abababab", "real"),
        ("random", "real"),
        ("abababab", "demo"),
    ]
    whole = json.loads(tables.render_tables([RANDOM, DEMO], "json"))
    assert whole[0]["used"]["weights"] == "random"
    assert whole[1]["data"] == "demo"


def test_demo_and_real_records_never_share_a_table() -> None:
    grids = tables.record_grids([make(), DEMO, RANDOM])
    assert len(grids) == 2
    assert [row[3] for grid in grids for row in grid.rows] == ["real", "real", "demo"]


def test_the_newest_of_several_records_of_a_cell_is_shown_and_the_others_are_counted() -> None:
    newer = make(scores={"oa": 80.0}, spread={}, intervals={}, made="2026-02-01T00:00:00+00:00")
    text = tables.render_tables([newer, make()], "text")
    assert "80.00" in text
    assert "71.23" not in text
    assert "1 older record(s)" in text


def test_other_settings_get_a_row_of_their_own() -> None:
    limited = make(recipe={**make().recipe, "limit": 50, "seeds": 3})
    (grid,) = tables.record_grids([make(), limited])
    assert grid.header[4] == "settings"
    assert sorted(row[4] for row in grid.rows) == ["", "limit=50 seeds=3"]


def test_a_cell_without_a_score_says_why() -> None:
    none: dict[str, Any] = {"scores": {}, "spread": {}, "intervals": {}}
    cannot = make("image_stats", status="cannot run", note="no feature maps", **none)
    broken = make("rcf", status="failed", note="OSError: disk", **none)
    text = tables.render_tables([cannot, broken, make()], "text")
    assert "image_stats on aid: no feature maps." in text
    assert "failed" in text
    assert "aid 20 % OA" in text


def test_a_reason_that_is_a_sentence_gets_no_second_full_stop() -> None:
    text = tables.render_tables(
        [make(status="failed", scores={}, note="It broke. Mend it.")], "text"
    )
    assert "Mend it.\n" in text + "\n"


def test_several_seeds_show_their_spread() -> None:
    several = make(seeds=[{"seed": 0}, {"seed": 1}])
    assert "71.23 ± 0.50 [69.0, 73.0]" in tables.render_tables([several], "text")


def test_latex_escapes_what_tex_would_read() -> None:
    text = tables.render_tables([make("a_b&c%")], "latex")
    assert r"a\_b\&c\%" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_nothing_to_show_is_said() -> None:
    assert tables.render_tables([], "text") == "No records."
    assert tables.render_tables([], "json") == "[]"
    assert tables.render_tables([], "csv") == ""


def test_rows_that_are_never_marked_as_best_are_named_with_the_reason() -> None:
    low = make("rcf", flags=["chance"])
    text = tables.render_tables([make(), low, RANDOM], "text")
    assert "Never marked as best: rcf (not above chance), skysense (random weights)." in text
    assert "Never marked" not in tables.render_tables([make(), make("gfm")], "text")


def test_a_record_without_a_spread_is_shown_without_it() -> None:
    foreign = make(seeds=[{"seed": 0}, {"seed": 1}], spread={})
    assert "71.23 [69.0, 73.0]" in tables.render_tables([foreign], "text")


CHOSEN = make("rvsa", scores={"oa": 95.0}, intervals={"oa": [94.0, 96.0]}, flags=[RED])


def test_what_was_chosen_on_the_test_is_red_and_never_best_nor_tied() -> None:
    near = replace(CHOSEN, model="dofa", scores={"oa": 94.9}, flags=[])
    (grid,) = tables.record_grids([make(), CHOSEN, near])
    (place,) = grid.red
    assert grid.rows[place[0]][0] == "rvsa"
    assert grid.rows[place[0]][place[1]] == "95.00 [94.0, 96.0] (q)"
    assert {grid.rows[i][0] for i, _ in grid.best} == {"dofa"}
    assert {grid.rows[i][0] for i, _ in grid.second} == {"imagenet"}
    assert any("rvsa (chosen on the test)" in note for note in grid.notes)
    assert any(FLAGS[RED] in note for note in grid.notes)


def test_red_cells_stay_red_where_there_is_a_column_of_settings() -> None:
    other = make("gfm", used={**make().used, "arch": {"gsd": 1}})
    (grid,) = tables.record_grids([other, CHOSEN])
    ((row, column),) = grid.red
    assert "95.00" in grid.rows[row][column]


@pytest.mark.parametrize(
    ("form", "painted"),
    [
        ("md", '<span style="color:red">95.00 [94.0, 96.0] (q)</span>'),
        ("latex", r"\textcolor{red}{95.00 [94.0, 96.0] (q)}"),
    ],
)
def test_every_form_that_has_colours_shows_it_in_red(form: str, painted: str) -> None:
    text = tables.render_tables([make(), CHOSEN], form)
    assert text.count(painted) == 1
    assert ("xcolor" in text) == (form == "latex")
    assert "xcolor" not in tables.render_tables([make()], form)


def test_text_is_red_only_where_colour_was_asked_for() -> None:
    (grid,) = tables.record_grids([make(), CHOSEN])
    plain, painted = tables.to_text(grid), tables.to_text(grid, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[31m95.00 [94.0, 96.0] (q)\x1b[0m" in painted
    assert painted.replace("\x1b[31m", "").replace("\x1b[0m", "") == plain
