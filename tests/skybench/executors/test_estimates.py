"""Estimates of cells by earlier records, and the time left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Recipe, Record, registry
from skybench.executors import estimates
from skybench.executors.estimates import (
    Estimates,
    TimeLeft,
    guessed_seconds,
    published_counts,
    work_of,
)
from skybench.plan.cell import Cell
from skybench.records import store

TASK = registry.task("scene_classification")


def cell(
    model: str = "rcf", dataset: str = "eurosat", protocol: str = "knn", **fields: Any
) -> Cell:
    recipe = Recipe(protocol, train="train", val="", test="test", **fields)
    card = registry.model(model).CARD
    return Cell(card, TASK, dataset, recipe, "tiny", "none", "none", True)


def stored(
    results: Path, seconds: float, samples: int, dataset: str = "eurosat", **made: Any
) -> None:
    recipe = {"protocol": "knn", "seeds": 1}
    record = Record(
        "rcf", TASK.name, dataset, recipe, "measured", "demo", f"{seconds:08g}" * 8,
        scores={"oa": 1.0}, samples={"train": samples}, cost={"wall_s": seconds},
    )  # fmt: skip
    store.write_record(replace(record, **made), results)


def test_the_same_model_and_dataset_tell_by_samples(tmp_path: Path) -> None:
    count = sum(published_counts(cell()).values())
    stored(tmp_path, 10.0, 100)
    stored(tmp_path, 4.0, 100)  # which found its features
    stored(tmp_path, 99.0, 1, dataset="aid")
    known = Estimates(tmp_path)
    assert known(cell()) == pytest.approx(0.1 * count)
    assert known(cell(limit=50)) == pytest.approx(0.1 * 100)
    assert known.guessed == 0


def test_other_datasets_of_the_model_tell_too(tmp_path: Path) -> None:
    stored(tmp_path, 10.0, 100, dataset="aid")
    known = Estimates(tmp_path)
    assert known(cell(limit=50)) == pytest.approx(0.1 * 100)
    assert known.guessed == 0
    assert known(cell("imagenet")) == estimates.START + guessed_seconds(
        cell("imagenet"), published_counts(cell("imagenet"))
    )
    assert known(cell(protocol="frozen")) > 0
    assert known.guessed == 2


def test_samples_that_were_found_count_and_not_those_that_are_published(tmp_path: Path) -> None:
    """Demo data, or a part of a data set, are soon through."""
    stored(tmp_path, 10.0, 100)
    found: Any = {"train": range(30), "test": range(10)}
    assert Estimates(tmp_path)(replace(cell(), splits=found)) == pytest.approx(0.1 * 40)
    assert Estimates(tmp_path / "none")(replace(cell(), splits=found)) < estimates.START + 1


def test_records_that_tell_nothing_are_left_out(tmp_path: Path) -> None:
    stored(tmp_path, 10.0, 100, status="failed", scores={})
    stored(tmp_path, 11.0, 100, cost={})
    (tmp_path / TASK.name / "eurosat" / "rcf.knn.none.0.json").write_text("{")
    (tmp_path / TASK.name / "eurosat" / ".rcf.knn.json.tmp").touch()
    known = Estimates(tmp_path)
    known(cell())
    assert known.guessed == 1


def test_few_records_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        stored(tmp_path, 10.0 + number, 100)
    read: list[str] = []
    parse = store.parse_record

    def noted(text: str) -> Record:
        read.append(text)
        return parse(text)

    monkeypatch.setattr(store, "parse_record", noted)
    known = Estimates(tmp_path)
    for number in range(9):
        known(cell(limit=number))
    assert len(read) == estimates.READ


def test_training_in_steps_counts_what_it_repeats() -> None:
    samples = {"train": 20, "test": 10}
    assert work_of(Recipe("knn"), samples, False) == 30
    recipe = Recipe("frozen", epochs=3, batch=16, seeds=2)
    assert work_of(recipe, samples, True) == 30 + 2 * 6 * 16
    longer = [guessed_seconds(cell(protocol=p, epochs=20), samples) for p in ("knn", "finetune")]
    assert longer[0] < longer[1]
    assert guessed_seconds(cell(protocol="of another task"), samples) > 0


def test_the_time_left_follows_what_cells_take() -> None:
    now = [0.0]
    left = TimeLeft({"a": 10.0, "b": 10.0, "c": 20.0}, slots=1, clock=lambda: now[0])
    assert left.left() is None
    left.start("a", "head")
    now[0] = 20.0  # twice as long as estimated
    left.start("a", "head")
    left.finish("a")
    assert left.left() == pytest.approx(60.0)
    left.start("b", "start")
    now[0] = 25.0
    assert left.left() == pytest.approx(55.0)
    now[0] = 99.0  # later than expected
    assert left.left() == pytest.approx(40.0)
    left.start("b", "start")  # again, in another process
    assert left.left() == pytest.approx(60.0)
    left.finish("of another plan")


def test_the_time_left_of_several_slots_is_that_of_the_longest_cell_at_least() -> None:
    now = [0.0]
    left = TimeLeft({"a": 1.0, "b": 3.0, "c": 1.0}, slots=4, clock=lambda: now[0])
    left.start("a", "head")
    now[0] = 1.0
    left.finish("a")
    assert left.left() == pytest.approx(3.0)


def test_cells_seen_side_by_side_are_counted() -> None:
    """A cluster tells its workers only by what they run."""
    now = [0.0]
    left = TimeLeft(dict.fromkeys("abcdefgh", 10.0), slots=1, clock=lambda: now[0])
    for name in "abcd":
        left.start(name, "start")
    now[0] = 10.0
    for name in "abcd":
        left.finish(name)
    assert left.left() == 10.0
