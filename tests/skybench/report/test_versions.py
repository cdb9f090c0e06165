"""Rows that mix versions are marked, and what is kept from another skybench is told."""

from __future__ import annotations

from typing import Any

from skybench.core import Record
from skybench.report import tables, versions


def make(model: str, dataset: str, score: float, used: dict[str, Any]) -> Record:
    recipe = {"protocol": "knn", "label": ""}
    facts = {"sensors": ["hr"], "weights": "none", "content": {"test": "a"}, **used}
    return Record(model, "scene_classification", dataset, recipe, "measured", "real", "f",
                  {"oa": score}, used=facts, made="2026")  # fmt: skip


def cards(model: int, dataset: int, task: int = 1) -> dict[str, Any]:
    return {"cards": {"model": model, "dataset": dataset, "task": task}}


def shown(*records: Record) -> str:
    return tables.render_tables(records, "text")


def test_equal_versions_are_not_marked() -> None:
    text = shown(make("rcf", "aid", 50.0, cards(1, 2)), make("rcf", "eurosat", 50.0, cards(1, 1)))
    assert "(w)" not in text


def test_an_older_adapter_is_marked_along_its_row() -> None:
    text = shown(make("rcf", "aid", 51.0, cards(1, 1)), make("rcf", "eurosat", 50.0, cards(2, 1)))
    assert "51.00 (w)" in text
    assert "50.00 (w)" not in text
    assert "(w) other versions: made by another version of adapter" in text


def test_an_older_reader_is_marked_down_its_column_and_never_compared() -> None:
    text = shown(make("rcf", "aid", 51.0, cards(1, 1)), make("gfm", "aid", 50.0, cards(1, 2)))
    assert "51.00 (w)" in text
    assert "*" not in text


def test_an_older_protocol_is_marked_down_its_column_though_it_states_no_version() -> None:
    newer = {"cards": {**cards(1, 1)["cards"], "protocol": 2}}
    text = shown(make("rcf", "aid", 51.0, cards(1, 1)), make("gfm", "aid", 50.0, newer))
    assert "51.00 (w)" in text
    assert "50.00 (w)" not in text


def test_packages_of_several_versions_are_named_below() -> None:
    one, other = ({"versions": {"torch": t, "numpy": "2.4"}} for t in ("2.6", "2.15"))
    text = shown(*(make(m, "aid", 50.0, v) for m, v in (("a", one), ("b", one), ("c", other))))
    assert "torch 2.15 (1 score) and 2.6 (2 scores)" in text
    assert "numpy" not in text
    assert versions.version_notes([make("rcf", "aid", 50.0, one)]) == []


def test_what_was_kept_from_another_skybench_is_counted() -> None:
    mine = {"versions": {"skybench": "0.1.0"}, "revision": "abcdef0123"}
    older = {"versions": {"skybench": "0.0.9"}, "revision": ""}
    kept = [make("rcf", "aid", 50.0, facts) for facts in (mine, older, older)]
    assert versions.kept_note(kept, 5, "0.1.0", "abcdef0123") == (
        "3 of 5 cells were done already and were kept (--force runs them); made by another "
        "skybench: 2 by 0.0.9."
    )
    assert versions.kept_note(kept[:1], 5, "0.1.0", "abcdef0123").endswith("runs them).")
    assert "1 by 0.1.0 (abcdef01)" in versions.kept_note(kept[:1], 1, "0.1.0", "other")
    assert versions.kept_note([], 5, "0.1.0", "") == ""
