"""Which record may stand beside which published score, and why another may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from skybench.core import Recipe, Record, Setup, SourcedRecipe, registry
from skybench.metrics.semantic_change import SemanticChange
from skybench.records.published import PaperCell
from skybench.report import paper_scores
from tests.skybench.report._paper import PLACE, RECORD


def test_a_record_of_the_usual_recipe_stands_there() -> None:
    assert paper_scores.paper_score(RECORD, PLACE) == 91.5


@pytest.mark.parametrize(
    "change",
    [{"data": "demo"}, {"status": "failed"}, {"dataset": "resisc45"},
     {"recipe": {"protocol": "frozen", "label": "20 %"}},
     {"recipe": {"protocol": "finetune", "label": "50 %"}},
     *({"flags": [flag]} for flag in sorted(paper_scores.BARRED))],
)  # fmt: skip
def test_nothing_else_does(change: dict[str, Any]) -> None:
    assert paper_scores.paper_score(replace(RECORD, **change), PLACE) is None


@pytest.mark.parametrize("split", ["pair[0]", "pair[1]", "official test server"])
def test_a_cell_that_cannot_be_matched_says_why(split: str) -> None:
    place = PaperCell("fair1m", "oriented_detection", split, "RGB", "mAP")
    assert paper_scores.why_apart(place)
    record = replace(RECORD, task=place.task, dataset="fair1m", scores={"ap50_voc07": 1.0})
    assert paper_scores.paper_score(record, place) is None


def test_the_sensors_tell_the_cells_of_several_sensors_apart() -> None:
    place = PaperCell("dyna_mm", "multimodal_segmentation", "test", "Planet+S2", "mIoU")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="dyna_mm", recipe=recipe,
                     scores={"miou": 40.0}, used={"sensors": ["hr", "s2"]})  # fmt: skip
    assert paper_scores.paper_score(record, place) == 40.0
    assert paper_scores.paper_score(record, place._replace(modalities="Planet+S2+S1")) is None
    prototypes = place._replace(modalities="Planet+S2 + geo-context prototypes")
    assert paper_scores.paper_score(record, prototypes) is None


def test_a_score_of_all_bands_does_not_stand_in_a_column_of_rgb() -> None:
    place = PaperCell("oscd", "change_detection", "test", "RGB", "F1")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="oscd", recipe=recipe, scores={"f1": 50.0})
    assert paper_scores.paper_score(record, place) == 50.0
    assert paper_scores.paper_score(replace(record, used={"sensors": ["s2"]}), place) is None


def test_the_semantic_change_score_is_found_by_its_name() -> None:
    metric = SemanticChange(tuple("abcdef"))
    series = np.arange(8).reshape(2, 2, 2) % 6
    metric.update(series, series, "cube_0_0")
    place = PaperCell("dyna_s2", "change_detection", "test", "S2", "SCS")
    recipe = {"protocol": "finetune", "label": ""}
    record = replace(RECORD, task=place.task, dataset="dyna_s2", recipe=recipe,
                     scores=metric.scores(), used={"sensors": ["s2"]})  # fmt: skip
    assert paper_scores.paper_score(record, place) == 100


def test_an_epoch_that_the_test_chose_stands_where_the_published_one_was_chosen_so() -> None:
    chosen = replace(RECORD, flags=[paper_scores.ON_TEST])
    assert paper_scores.paper_score(chosen, PLACE) is None
    assert paper_scores.why_barred(chosen) == paper_scores.ON_TEST
    rvsa = replace(chosen, model="rvsa")  # whose script records the best epoch on the test
    assert paper_scores.paper_score(rvsa, PLACE) == 91.5
    assert paper_scores.paper_score(replace(rvsa, flags=[*rvsa.flags, "limited"]), PLACE) is None


@pytest.mark.parametrize(
    ("column", "label"),
    [("", "10 %"), ("RGB, SeCo val", "RGB, SeCo val, 10 %"), ("SeCo val", "SeCo val, 10 %")],
)
def test_a_record_stands_in_the_column_of_its_own_kind_only(column: str, label: str) -> None:
    place = PaperCell("ben_s2", "scene_classification", "TR=10%", "S2", "mAP")
    columns = {place._replace(column=c) for c in ("", "RGB, SeCo val", "SeCo val")}
    recipe = {"protocol": "finetune", "label": label}
    record = replace(RECORD, dataset="ben_s2", recipe=recipe, scores={"map_micro": 80.0},
                     used={"sensors": ["s2"]})  # fmt: skip
    assert [p.column for p in columns if paper_scores.paper_score(record, p)] == [column]


def test_the_published_rows_are_in_the_columns_of_their_kind() -> None:
    columns: dict[str, set[str]] = {}
    for row in paper_scores.reported_rows():
        if row.dataset in ("ben_s2", "oscd"):
            columns.setdefault(paper_scores.paper_place(row).column, set()).add(row.model)
    assert columns["RGB, SeCo val"] == {"seco", "caco", "gfm"}
    assert columns["SeCo val"] == {"ssl4eo", "croma"}
    assert columns["frozen encoder"] == {"seco", "ssl4eo"}
    assert "skysense" in columns[""]


def test_a_frozen_encoder_stands_beside_frozen_ones_of_secos_recipe_only() -> None:
    place = PaperCell("oscd", "change_detection", "test", "RGB", "F1", "frozen encoder")
    recipe = {"protocol": "frozen", "label": "", "name": "seco"}
    record = replace(RECORD, task=place.task, dataset="oscd", recipe=recipe, scores={"f1": 40.0})
    assert paper_scores.paper_score(record, place) == 40.0
    for other in ({"name": ""}, {"protocol": "finetune"}):
        assert paper_scores.paper_score(replace(record, recipe={**recipe, **other}), place) is None
    assert paper_scores.paper_score(record, place._replace(column="")) is None


def named_recipes(monkeypatch: pytest.MonkeyPatch) -> Record:
    """A record of a recipe by name, which made the row of satmae; the usual one is another."""
    made = [SourcedRecipe(name, "own source", Recipe("finetune"), rows=("satmae",))
            for name in ("usual", "other")]  # fmt: skip
    card = registry.dataset("aid").CARD
    setups = {"scene_classification": Setup(sourced=tuple(made))}
    monkeypatch.setattr(registry.dataset("aid"), "CARD", replace(card, setups=setups))
    return replace(RECORD, recipe={**RECORD.recipe, "name": "other"})


def test_another_recipe_stands_beside_the_row_that_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    record = named_recipes(monkeypatch)
    usual = replace(record, recipe={**record.recipe, "name": "usual"})
    assert paper_scores.paper_score(usual, PLACE) == 91.5
    assert paper_scores.paper_score(record, PLACE) is None
    assert paper_scores.why_barred(record) == "recipe other, which made no row of this model"
    own = replace(record, model="satmae")
    assert paper_scores.paper_score(own, PLACE) == 91.5
    found = paper_scores.measured_scores([own])
    assert found["Table 5", PLACE, "satmae"] == (91.5, own)


def test_scores_of_val_and_test_are_told_by_the_label() -> None:
    place = PaperCell("dyna_mm", "multimodal_segmentation", "test", "Planet+S2", "mIoU")
    record = replace(RECORD, task=place.task, dataset="dyna_mm", scores={"miou": 40.0},
                     used={"sensors": ["hr", "s2"]})  # fmt: skip
    for label, expected in (("test", 40.0), ("", 40.0), ("val", None)):
        asked = replace(record, recipe={"protocol": "finetune", "label": label})
        assert paper_scores.paper_score(asked, place) == expected
