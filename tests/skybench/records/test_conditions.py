"""Conditions of published scores: what is refused, what they hold for, what the file says."""

from __future__ import annotations

import pytest

from skybench.core import DataError, registry
from skybench.records import conditions, published
from skybench.records.published import PaperCell

PLACE = PaperCell("aid", "scene_classification", "TR=20%", "RGB", "OA")
HEADER = ",".join(conditions.COLUMNS)
GOOD = "rvsa,aid,scene_classification,,,state,best-on-test,,a note,a file"


def test_a_condition_is_one_line() -> None:
    (found,) = conditions.parse_conditions(f"{HEADER}\n{GOOD}\n", "x.csv")
    assert (found.model, found.aspect, found.value) == ("rvsa", "state", "best-on-test")
    assert found.holds("rvsa", PLACE)
    assert not found.holds("gfm", PLACE)
    assert not found.holds("rvsa", PLACE._replace(dataset="resisc45"))


def test_it_holds_for_every_model_split_and_metric_that_it_leaves_out() -> None:
    line = ",aid,scene_classification,TR=50%,,noise,,,a note,a file"
    (found,) = conditions.parse_conditions(f"{HEADER}\n{line}\n", "x.csv")
    assert found.holds("anyone", PLACE._replace(split="TR=50%", metric="F1"))
    assert not found.holds("anyone", PLACE)


@pytest.mark.parametrize(
    ("line", "place"),
    [(GOOD.replace("state", "colour"), "line 3, column 6 \\(aspect\\): 'colour'"),
     (GOOD.replace("a note", ""), "line 3, column 9 \\(note\\)"),
     (GOOD.replace("a file", " "), "line 3, column 10 \\(seen_at\\)"),
     (GOOD.replace("rvsa", "gfm"), "line 3: the same scores"), ("a,b", "line 3: 2 columns")],
)  # fmt: skip
def test_a_malformed_line_is_refused_with_its_place(line: str, place: str) -> None:
    text = f"{HEADER}\n{GOOD.replace('rvsa', 'gfm')}\n{line}\n"
    with pytest.raises(DataError, match=rf"x\.csv, {place}"):
        conditions.parse_conditions(text, "x.csv")


def test_every_condition_is_about_published_scores() -> None:
    rows = published.published_scores()
    models = {r.model for r in rows}
    for c in conditions.published_conditions():
        assert any(c.holds(c.model or r.model, r.place) for r in rows), c
        assert c.model in ("", *models)
        assert c.dataset in registry.names("datasets")
        assert not c.note.endswith(".")
        assert "@" in c.seen_at or "issue" in c.seen_at
        assert not c.column or c.model  # a column is of rows, not of a whole data set


def test_what_is_known_of_a_score() -> None:
    place = PaperCell("fmow_s2", "scene_classification", "full", "S2", "top-1")
    assert conditions.chosen_on_test("satmae", place)
    assert not conditions.chosen_on_test("skysense", place)
    assert "epoch 7 of 30" in conditions.conditions_text("satmae", place)
    assert conditions.conditions_of("satmae", place._replace(metric="top-5")) == ()
    oscd = PaperCell("oscd", "change_detection", "test", "RGB", "F1")
    assert conditions.with_column("seco", oscd).column == conditions.FROZEN
    assert conditions.with_column("skysense", oscd) == oscd


def test_models_and_data_sets_with_one_note_share_a_sentence() -> None:
    rows = [("rvsa", PLACE), ("rvsa", PLACE._replace(dataset="resisc45")), ("gfm", PLACE)]
    ((sentence, models),) = conditions.condition_notes(rows)
    assert sentence.startswith("aid, resisc45, state: the best epoch")
    assert models == ["rvsa"]
