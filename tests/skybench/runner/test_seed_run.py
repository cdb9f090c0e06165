"""What one seed of a fine-tuned cell learns from, is selected on, and leaves behind."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.augment import test_time
from skybench.core import Recipe
from skybench.features.sources import SourceSubset
from skybench.runner import seed_run
from skybench.runner.run_cells import run_cells
from skybench.training import log

from ._finetuned import BASE, left, run


def test_all_training_samples_are_learned_from_where_nothing_is_selected(tmp_path: Path) -> None:
    record = run(tmp_path)
    assert record.samples == {"train": 20, "val": 0, "test": 20}
    assert record.seeds[0]["chosen"]["augment"]
    assert left(tmp_path) == {log.LOG, "curve.png"}


def test_with_validation_the_best_epoch_counts_and_the_record_says_which(tmp_path: Path) -> None:
    record = run(tmp_path, overrides={"epochs": "4", "validate": "1"}, keep_weights=True)
    assert record.samples["val"] >= 4
    assert record.samples["train"] + record.samples["val"] == 20
    chosen = record.seeds[0]["chosen"]
    assert [epoch for epoch, _ in chosen["validation"]] == [1, 2, 3, 4]
    best = max(chosen["validation"], key=lambda pair: pair[1])
    assert chosen["best_epoch"] == best[0]
    assert left(tmp_path) == {log.LOG, "curve.png", "weights.pt"}
    assert "override" in record.flags


class Tiles:
    """Three tiles of each of five images."""

    labels = None
    keys = tuple(f"image{n}_{tile}" for n in range(5) for tile in range(3))
    groups = tuple(key.partition("_")[0] for key in keys)

    def __len__(self) -> int:
        return len(self.keys)


def parts(**changes: Any) -> tuple[set[str], set[str] | None]:
    """The keys of the training part, and of the part that choices rest on."""
    recipe = replace(Recipe("frozen", val="", epochs=2, batch=4), **changes)
    protocol = SimpleNamespace(trains_stepwise=True)
    cell: Any = SimpleNamespace(recipe=recipe, protocol=protocol, splits={"train": Tiles()})
    whole: Any = None
    sources = {"train": SourceSubset(whole, range(15)), "test": SourceSubset(whole, [])}
    train, val = seed_run._parts(cell, sources, 0)
    return (
        {Tiles.keys[i] for i in train.indices},
        None if val is None else {Tiles.keys[i] for i in val.indices},
    )


def test_tiles_of_one_image_are_never_learned_from_and_validated_on() -> None:
    train, val = parts(validate=1)
    assert val is not None
    assert len(val) == 3
    images = [{key.partition("_")[0] for key in part} for part in (train, val)]
    assert (len(images[0]), len(images[1])) == (4, 1)
    assert not images[0] & images[1]


def test_nothing_is_held_out_where_no_choice_rests_on_it() -> None:
    assert parts() == (set(Tiles.keys), None)
    assert parts(state="last") == (set(Tiles.keys), None)
    assert parts(state="best-on-test") == (set(Tiles.keys), set())  # it rests on the test
    assert parts(state="best-on-val") == parts(validate=1)


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    first, second = (run(tmp_path / name) for name in "ab")
    assert first.seeds == second.seeds
    assert first.scores == second.scores


def test_classes_without_a_sample_to_learn_from_are_named(tmp_path: Path) -> None:
    record = run(tmp_path, fraction=0.25)
    assert record.samples["train"] == 5
    absent = record.seeds[0]["chosen"]["absent_classes"]
    assert len(absent) >= 2
    assert set(absent) < set(record.used["classes"])


def test_views_of_test_images_reach_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], test_time.average_views

    def noted(wanted: test_time.Views, *given: Any) -> Any:
        asked.append(wanted)
        return real(wanted, *given)

    monkeypatch.setattr(test_time, "average_views", noted)
    changes = {"tasks": ("semantic_segmentation",), "datasets": ("potsdam",), "limit": 2}
    few = {"epochs": "1", "width": "8", "size": "64"}
    viewed = run(tmp_path, **changes, overrides={**few, "views": "flip"}, draw=0)
    assert viewed.recipe["views"] == ["flip"]
    assert len(asked) == viewed.samples["test"]


def test_views_where_nothing_heeds_them_are_refused(tmp_path: Path) -> None:
    (record,) = run_cells(replace(BASE, overrides={"views": "flip"}, results=tmp_path))
    assert record.status == "cannot run"
    assert "no test-time views" in record.note


def test_a_network_whose_branches_differ_in_width_learns_too(tmp_path: Path) -> None:
    record = run(tmp_path, models=("skysense",), datasets=("ben_s2",), limit=4)
    assert record.used["sensors"] == ["s2"]


def test_one_trained_network_is_alive_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks of earlier seeds are freed at once: a GPU holds few of them."""
    make, made, alive = seed_run.load_cell_model, list[Any](), list[int]()

    def counted(*given: Any) -> Any:
        alive.append(sum(network() is not None for network in made))
        network = make(*given)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(seed_run, "load_cell_model", counted)
    run(tmp_path, seeds=3)
    assert alive == [0, 0, 0]
