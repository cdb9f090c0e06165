"""Published scores: what is refused, where it says so, and what the shipped files hold."""

from __future__ import annotations

import csv
import importlib.resources
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.core import DataError, registry
from skybench.records import published

GOOD = {
    "model": "m", "dataset": "d", "task": "t", "split": "test", "modalities": "RGB",
    "metric": "OA", "value": "97.5", "source": "paper", "table": "1", "evidence": "corroborated",
    "seen_at": "", "note": "",
}  # fmt: skip


def text(*rows: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, published.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def test_a_result_is_one_line() -> None:
    (row,) = published.parse_published(text(GOOD), "x.csv")
    assert (row.model, row.value, row.place.metric) == ("m", 97.5, "OA")


@pytest.mark.parametrize(
    ("column", "value", "number"),
    [("value", "high", 7), ("value", "101", 7), ("value", "-1", 7), ("value", "nan", 7),
     ("value", "", 7), ("model", " ", 1), ("metric", "", 6), ("evidence", "sure", 10)],
)  # fmt: skip
def test_a_malformed_line_is_refused_with_line_and_column(
    column: str, value: str, number: int
) -> None:
    with pytest.raises(DataError, match=rf"x\.csv, line 3, column {number} \({column}\)"):
        published.parse_published(text(GOOD | {"model": "other"}, GOOD | {column: value}), "x.csv")


def test_a_line_with_too_few_columns_and_a_foreign_header_are_refused() -> None:
    with pytest.raises(DataError, match="line 2: 2 columns, expected 12"):
        published.parse_published(text() + "m,d\n", "x.csv")
    with pytest.raises(DataError, match="line 1: expected the columns model,dataset"):
        published.parse_published("model,score\nm,1\n", "x.csv")


def test_the_same_score_twice_is_refused_but_a_conflict_is_kept() -> None:
    with pytest.raises(DataError, match="line 3: m on d from paper is in line 2 already"):
        published.parse_published(text(GOOD, GOOD | {"value": "90"}), "x.csv")
    apart = text(GOOD | {"note": "a\nb"}) + "\n" + text(GOOD | {"note": "a\nb"}).partition("\n")[2]
    with pytest.raises(DataError, match="line 6: m on d from paper is in line 3 already"):
        published.parse_published(
            apart, "x.csv"
        )  # of more than one line each, and an empty one between
    both = published.parse_published(text(GOOD, GOOD | {"value": "90", "source": "other"}), "x.csv")
    ((model, place, rows),) = published.conflicting_scores(both)
    assert (model, place.dataset, [r.value for r in rows]) == ("m", "d", [97.5, 90.0])


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(body: str) -> None:
    try:
        rows = published.parse_published(text() + body, "x.csv")
    except DataError as error:
        message = str(error)
        assert message.startswith("x.csv, line")
        return
    assert all(0 <= r.value <= 100 for r in rows)


def test_the_shipped_files_are_whole() -> None:
    rows = published.published_scores()
    assert len(rows) == 470
    paper = [r for r in rows if r.source.startswith("SkySense arXiv") and r.table != ""]
    known = {r.model for r in paper} & set(registry.names("baselines"))
    assert {"skysense", "bfm", "matter"} <= known
    assert {r.evidence for r in rows} == set(published.EVIDENCE)
    assert len(list(published.conflicting_scores(rows))) >= 10


def test_a_second_run_is_no_disagreement() -> None:
    again = GOOD | {"value": "90", "note": f"{published.ANOTHER_RUN}of the same authors"}
    assert not [*published.conflicting_scores(published.parse_published(text(GOOD, again), "x"))]


def test_what_the_sources_have_settled_is_no_conflict_any_more() -> None:
    rows = published.published_scores()
    disputed = {(model, place.dataset) for model, place, _ in published.conflicting_scores(rows)}
    assert ("rvsa", "dior_r") not in disputed
    assert not {m for m, d in disputed if m.startswith("MTP") and d == "dior"}
    twins = [r.value for r in rows if (r.model, r.dataset) == ("MTP ViT-L+RVSA", "dior")]
    assert twins == [81.7, 81.1]
    assert ("rvsa", "dior") in disputed  # 73.22 and 75.80: nobody knows


def test_the_mean_f1_of_rvsa_on_potsdam_is_that_of_its_logs() -> None:
    rows = [r for r in published.published_scores()
            if r.dataset == "potsdam" and r.model.startswith("RVSA ")]  # fmt: skip
    assert [r.value for r in rows] == [90.05, 90.24, 90.64, 90.61]
    assert {(r.metric, r.evidence) for r in rows} == {("mF1", "seen")}


def test_no_published_value_is_changed_against_the_projects_files(shared: Path) -> None:
    """Notes and evidence may say more, and rows may be added."""
    name = "skysense_cvpr2024.csv"
    ours = importlib.resources.files("skybench.reported_csv") / name
    assert ours.read_text() == (shared / "published" / name).read_text()
    given = (shared / "published" / "others.csv").read_text()
    known = [(*r.place, r.model, r.value, r.source) for r in published.published_scores()]
    for row in published.parse_published(given, "others.csv"):
        assert (*row.place, row.model, row.value, row.source) in known, row
