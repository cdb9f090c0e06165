"""No table sets side by side what differs in kind, unless a row of its own and a mark say so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from skybench.core import FLAGS, Record
from skybench.records import labels
from skybench.report import paper_scores, tables

FORMS = ("text", "md", "latex")


def make(**changes: Any) -> Record:
    recipe = {"protocol": "finetune", "label": "20 %", "seeds": 1, "fraction": 1.0, "limit": 0}
    record = Record(
        "satmae", "scene_classification", "aid", recipe, "measured", "real", "f" * 64,
        {"oa": 71.25}, intervals={"oa": [69.0, 73.0]}, seeds=[{"seed": 0}],
        used={"sensors": ["hr"], "weights": "ab" * 32, "variant": "full"},
        made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(record, **changes)


def using(**used: Any) -> Any:
    return {"used": {**make().used, **used}}


def under(**recipe: Any) -> Any:
    return {"recipe": {**make().recipe, **recipe}}


LATER = {"scores": {"oa": 93.75}, "intervals": {}, "made": "2026-02-01T00:00:00+00:00"}
# What must never be taken for the plain record, and what tells it in its row.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "random": ({"flags": ["random weights"], **using(weights="random")}, "random"),
    "tiny": ({"flags": ["tiny variant"], **using(variant="tiny")}, "tiny"),
    "limited": ({"flags": ["limited"], **under(limit=50)}, "limit=50"),
    "a fraction": ({"flags": ["limited"], **under(fraction=0.1)}, "fraction=0.1"),
    "overridden": (
        {"flags": ["override"], **under(epochs=5), **using(overridden=["epochs"])}, "epochs=5",
    ),
    "other sensors": (under(sensors=["hr", "s1"]), "hr+s1"),
}  # fmt: skip
APART = {"demo": {"data": "demo"}, "protocol": under(protocol="knn")}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_measured_otherwise_has_a_row_of_its_own_with_a_mark(kind: str) -> None:
    changes, told = KINDS[kind]
    other = make(**changes, **LATER)
    (grid,) = tables.record_grids([make(), other])
    assert len(grid.rows) == 2  # the newer one does not replace the other
    (plain,) = (row for row in grid.rows if "71.25" in row[-1])
    (row,) = (row for row in grid.rows if "93.75" in row[-1])
    assert told in " ".join(row)
    assert told not in " ".join(plain)
    for flag in other.flags:
        assert f"({labels.MARKS[flag]})" in row[-1]
        assert any(flag in note for note in grid.notes)
        assert f"({labels.MARKS[flag]})" not in plain[-1]


@pytest.mark.parametrize("kind", APART)
def test_demo_data_and_protocols_have_tables_of_their_own(kind: str) -> None:
    one, other = tables.record_grids([make(), make(**APART[kind], **LATER)])
    assert one.title != other.title
    assert [len(grid.rows) for grid in (one, other)] == [1, 1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_marked_at_the_score_and_explained_below(form: str, flag: str) -> None:
    lines = tables.render_tables([make(flags=[flag])], form).splitlines()
    assert any("71.25" in line and f"({labels.MARKS[flag]})" in line for line in lines)
    assert any(FLAGS[flag] in line and flag in line for line in lines)
    assert flag in tables.render_tables([make(flags=[flag])], "csv")
    assert flag in tables.render_tables([make(flags=[flag])], "json")


@pytest.mark.parametrize("kind", [*KINDS, *APART])
def test_the_papers_tables_take_none_of_it(kind: str) -> None:
    changes = APART[kind] if kind in APART else KINDS[kind][0]
    place = next(
        r.place
        for r in paper_scores.reported_rows()
        if (r.model, r.dataset, r.split) == ("satmae", "aid", "TR=20%")
    )
    assert paper_scores.paper_score(make(), place) == 71.25
    if kind != "other sensors":  # of a task with a single sensor there are none
        assert paper_scores.paper_score(make(**changes), place) is None


def test_a_table_without_a_floor_says_so() -> None:
    said = tables.NO_FLOOR
    assert said in tables.render_tables([make()], "text")
    assert said not in tables.render_tables([make(), make(model="rcf")], "text")
    none: dict[str, Any] = {"scores": {}, "intervals": {}}
    cannot = make(model="rcf", status="cannot run", note="no maps", **none)
    assert said in tables.render_tables([make(), cannot], "text")
    assert said not in tables.render_tables([cannot], "text")
    assert said in tables.render_tables([make(model="of a plugin that is gone")], "text")
