"""The paper's tables: what may stand beside a published score, and what may not."""

from __future__ import annotations

import json
from dataclasses import replace

from skybench.records import labels
from skybench.report import paper_scores, paper_tables, tables
from tests.skybench.report._paper import PLACE, RECORD


def test_a_fine_tuned_score_on_the_real_data_stands_beside_the_reported_one() -> None:
    assert paper_scores.paper_score(RECORD, PLACE) == 91.5
    (grid,) = [g for g in paper_tables.paper_grids([RECORD]) if "Table 5:" in g.title]
    rows = {row[:2]: row for row in grid.rows}
    assert rows["GFM", "reported"][2] == "95.47"
    assert rows["GFM", "measured"][2] == "91.50"
    kinds = [row[1] for row in grid.rows if row[0] == "GFM"]
    assert kinds == ["reported", "measured"]


def test_what_is_suspicious_of_a_measured_score_is_marked_and_explained() -> None:
    record = replace(RECORD, flags=["seen in pre-training", "nominal units"])
    (grid,) = [g for g in paper_tables.paper_grids([record]) if "Table 5:" in g.title]
    rows = {row[:2]: row for row in grid.rows}
    assert rows["GFM", "measured"][2] == "91.50 (pu)"
    assert rows["GFM", "reported"][2] == "95.47"
    assert {*labels.footnotes(record.flags)} < {*grid.notes}


def test_the_best_reported_and_the_best_measured_are_marked_apart() -> None:
    found = [RECORD, replace(RECORD, model="satlas", scores={"oa": 90.0})]
    (grid,) = [g for g in paper_tables.paper_grids(found) if "Table 5:" in g.title]
    best = {grid.rows[i][:2] for i, j in grid.best if j == 2}
    second = {grid.rows[i][:2] for i, j in grid.second if j == 2}
    assert best == {("SkySense", "reported"), ("GFM", "measured")}
    assert len(second) == 2
    assert ("satlas", "measured") in {(model.lower(), kind) for model, kind in second}
    assert "**91.50**" in tables.to_markdown(grid)


def test_every_published_cell_is_in_a_table_once() -> None:
    cells = json.loads(paper_tables.render_paper_tables([], "json"))
    assert len(cells) == len(paper_scores.reported_rows()) == 227
    grids = paper_tables.paper_grids([])
    shown = sum(cell != "" for g in grids for row in g.rows for cell in row[2:])
    assert shown == 227


def test_latex_is_balanced_and_escaped() -> None:
    for text in paper_tables.render_paper_tables([RECORD], "latex").split("\n\n"):
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
        body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
        columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
        assert {line.count(" & ") + 1 for line in body} == {len(columns)}
        assert all("_" not in line.replace(r"\_", "") for line in body)


def test_a_fine_tuned_record_that_is_left_out_says_why() -> None:
    changed = replace(RECORD, flags=["override", "limited"])
    (grid,) = [g for g in paper_tables.paper_grids([changed]) if "Table 5:" in g.title]
    assert "Not beside: gfm on aid 20 %: limited, override." in grid.notes
    other = replace(RECORD, recipe={"protocol": "finetune", "label": "10 %"})
    (grid,) = [g for g in paper_tables.paper_grids([other]) if "Table 5:" in g.title]
    assert "Not beside: gfm on aid 10 %: no column of its kind." in grid.notes
    for usual in (RECORD, replace(RECORD, data="demo"), replace(RECORD, dataset="folder")):
        assert paper_scores.why_barred(usual) == ""


def test_two_copies_of_a_dataset_never_share_a_column_of_the_paper() -> None:
    one = replace(RECORD, used={"sensors": ["hr"], "content": {"test": "a"}}, made="2026-01")
    other = replace(RECORD, model="satmae", scores={"oa": 80.0}, made="2026-02",
                    used={"sensors": ["hr"], "content": {"test": "b"}})  # fmt: skip
    (grid,) = [g for g in paper_tables.paper_grids([one, other]) if "Table 5:" in g.title]
    measured = [row for row in grid.rows if row[1] == "measured"]
    assert [row[2] for row in measured] == ["80.00"]
    assert "Not beside: gfm on aid 20 %: of other images or labels than the newest record." in (
        grid.notes
    )


def test_rows_that_were_made_otherwise_are_marked_and_their_notes_say_how() -> None:
    two, three, four, five, _ = paper_tables.paper_grids([])
    rows = {row[0]: dict(zip(five.header, row, strict=True)) for row in five.rows}
    assert rows["SatMAE"]["fmow_s2 top-1"] == "63.84 (#)"
    assert rows["SkySense"]["fmow_s2 top-1"] == "64.38"
    assert rows["GFM"]["ben_s2 TR=10% RGB, SeCo val mAP"] == "86.30 (#)"
    assert rows["GFM"]["ben_s2 TR=10% mAP"] == ""
    notes = "\n".join(note for grid in (two, three, four, five) for note in grid.notes)
    assert "(#) SatMAE on fmow_s2, state: the checkpoint of epoch 7 of 30" in notes
    assert "(#) SeCo, CACo, GFM on ben_s2, bands: RGB" in notes
    assert "(#) RVSA on aid, resisc45, state: the best epoch on the test images" in notes
    assert "\ndior, noise: " in notes
    assert "one run is good to ±0.4" in notes


def test_the_best_is_marked_within_a_column_of_one_kind() -> None:
    (grid,) = [g for g in paper_tables.paper_grids([]) if "Table 4:" in g.title]
    column = grid.header.index("oscd frozen encoder F1")
    assert {grid.rows[i][0] for i, j in grid.best if j == column} == {"SeCo"}


def test_what_was_chosen_on_the_test_is_never_marked_as_best() -> None:
    chosen = replace(RECORD, model="rvsa", scores={"oa": 99.0}, flags=[paper_scores.ON_TEST],
                     fingerprint="e")  # fmt: skip
    others = [RECORD, replace(RECORD, model="satlas", scores={"oa": 90.0})]
    (grid,) = [g for g in paper_tables.paper_grids([chosen, *others]) if "Table 5:" in g.title]
    best = {grid.rows[i][:2] for i, j in grid.best if j == 2}
    assert best == {("SkySense", "reported"), ("GFM", "measured")}
    shown = next(row for row in grid.rows if row[:2] == ("RVSA", "measured"))
    assert shown[2].startswith("99.00")
    assert {(grid.rows[i][0], j) for i, j in grid.red} == {("RVSA", 2)}


def test_the_cells_as_json_have_their_column_and_conditions() -> None:
    cells = {(c["model"], c["dataset"], c["split"]): c for c in paper_tables.paper_cells([])}
    gfm = cells["gfm", "ben_s2", "TR=10%"]
    assert gfm["column"] == "RGB, SeCo val"
    assert gfm["conditions"].startswith("bands: RGB")
    assert "state: the best epoch" in gfm["conditions"]
    assert cells["skysense", "isaid", "val"]["conditions"] == ""
