from __future__ import annotations

import pytest

from skybench.bench import startup


def test_commands_are_timed_on_made_records_and_a_finished_grid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(startup, "command", lambda *words: asked.append(words))
    help_, *tables, predicted, again = startup.time_startup("tiny")
    assert help_.what == "skybench --help"
    assert [row.what for row in tables] == [
        "table of 3 records, first", "table of 3 records", "table of 3 records as JSON",
    ]  # fmt: skip
    assert predicted.what == "first table of 2 records with predictions of 6 images"
    assert again.what == "a finished grid of 0 cells again"
    run = ("run", "--model", "image_stats", "--task", "scene_classification", "--dataset=eurosat",
           "--data=demo", "--limit=8")  # fmt: skip
    table, document = ("table",), ("table", "--format", "json")
    assert asked == [("--help",), table, table, table, document, table, run, run]
