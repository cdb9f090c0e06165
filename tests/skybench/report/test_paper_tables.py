"""The paper's tables: what may stand beside a published score, and what may not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skybench.core import Record
from skybench.metrics.semantic_change import SemanticChange
from skybench.records import labels
from skybench.records.published import PaperCell
from skybench.report import paper_tables, tables

PLACE = PaperCell("aid", "scene_classification", "TR=20%", "RGB", "OA")
RECORD = Record(
    "gfm", "scene_classification", "aid", {"protocol": "finetune", "label": "20 %"}, "measured",
    "real", "f", scores={"oa": 91.5}, used={"sensors": ["hr"]},
)  # fmt: skip


def test_a_fine_tuned_score_on_the_real_data_stands_beside_the_reported_one() -> None:
    assert paper_tables.paper_score(RECORD, PLACE) == 91.5
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


@pytest.mark.parametrize(
    "change",
    [{"data": "demo"}, {"status": "failed"}, {"dataset": "resisc45"},
     {"recipe": {"protocol": "frozen", "label": "20 %"}},
     {"recipe": {"protocol": "finetune", "label": "50 %"}},
     *({"flags": [flag]} for flag in sorted(paper_tables.BARRED))],
)  # fmt: skip
def test_nothing_else_does(change: dict[str, Any]) -> None:
    assert paper_tables.paper_score(replace(RECORD, **change), PLACE) is None


@pytest.mark.parametrize("split", ["pair[0]", "pair[1]", "official test server"])
def test_a_cell_that_cannot_be_matched_says_why(split: str) -> None:
    place = PaperCell("fair1m", "oriented_detection", split, "RGB", "mAP")
    assert paper_tables.why_apart(place)
    record = replace(RECORD, task=place.task, dataset="fair1m", scores={"ap50_voc07": 1.0})
    assert paper_tables.paper_score(record, place) is None


def test_the_sensors_tell_the_cells_of_several_sensors_apart() -> None:
    place = PaperCell("dyna_mm", "multimodal_segmentation", "test", "Planet+S2", "mIoU")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="dyna_mm", recipe=recipe,
                     scores={"miou": 40.0}, used={"sensors": ["hr", "s2"]})  # fmt: skip
    assert paper_tables.paper_score(record, place) == 40.0
    assert paper_tables.paper_score(record, place._replace(modalities="Planet+S2+S1")) is None
    prototypes = place._replace(modalities="Planet+S2 + geo-context prototypes")
    assert paper_tables.paper_score(record, prototypes) is None


def test_a_score_of_all_bands_does_not_stand_in_a_column_of_rgb() -> None:
    place = PaperCell("oscd", "change_detection", "test", "RGB", "F1")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="oscd", recipe=recipe, scores={"f1": 50.0})
    assert paper_tables.paper_score(record, place) == 50.0
    assert paper_tables.paper_score(replace(record, used={"sensors": ["s2"]}), place) is None


def test_the_semantic_change_score_is_found_by_its_name() -> None:
    metric = SemanticChange(tuple("abcdef"))
    series = np.arange(8).reshape(2, 2, 2) % 6
    metric.update(series, series, "cube_0_0")
    place = PaperCell("dyna_s2", "change_detection", "test", "S2", "SCS")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="dyna_s2", recipe=recipe,
                     scores=metric.scores(), used={"sensors": ["s2"]})  # fmt: skip
    assert paper_tables.paper_score(record, place) == 100


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
    assert len(cells) == len(paper_tables.reported_rows()) == 227
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
        assert paper_tables.why_barred(usual) == ""


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
