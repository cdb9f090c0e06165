"""What a task needs to know of a data set is said by the data set's card, never by the task."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import (
    IGNORE,
    UINT8,
    Column,
    DatasetCard,
    DemoSetup,
    Recipe,
    Sensor,
    Setup,
    Target,
    registry,
)

TASKS = registry.names("tasks")
FOLDER = Path(registry.load("tasks", TASKS[0]).__file__ or "").parent
OWN = Recipe("finetune", val="", epochs=7, batch=4, lr=3e-5, source="official: theirs/config.py")


def card(task: str, **facts: Any) -> DatasetCard:
    """A data set of another package."""
    base = DatasetCard(
        name="outside", title="Outside", tasks=(task,),
        sensors=(Sensor("hr", ("red", "green", "blue"), 0.5, UINT8),), classes=("other", "field"),
        splits={}, source="theirs", licence="MIT", obtain="ask", layout="outside/",
    )  # fmt: skip
    return replace(base, **facts)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_tasks_name_no_data_set(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = {n for n in registry.own("datasets") if re.search(rf"\b{n}\b", text)}
    assert found == set()
    named = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)]
    assert not [n for n in named if ast.unparse(n) in ("dataset.name", "card.name")]


@pytest.mark.parametrize("name", TASKS)
def test_a_data_set_without_a_recipe_gets_the_generic_one_that_says_so(name: str) -> None:
    task, outside = registry.task(name), card(name)
    for protocol in task.protocols:
        (recipe,) = task.recipes(outside, protocol, False)
        assert (recipe.train, recipe.test, recipe.size, recipe.tile) == ("train", "test", 0, 0)
    (tuned,) = task.recipes(outside, "finetune", False)
    assert tuned.source.startswith("ours: generic, for data sets without a recipe of their own; ")


@pytest.mark.parametrize("name", TASKS)
def test_the_generic_recipe_is_not_that_of_any_data_set(name: str) -> None:
    task = registry.task(name)
    (generic,) = task.recipes(card(name), "finetune", False)
    known = [registry.dataset(n).CARD for n in registry.own("datasets")]
    for other in (c for c in known if name in c.tasks):
        assert {r.source for r in task.recipes(other, "finetune", False)} != {generic.source}


@pytest.mark.parametrize("name", TASKS)
def test_a_data_set_brings_its_size_splits_options_and_recipe(name: str) -> None:
    setup = Setup(
        columns=(Column("learn", "choose", "score", "a"), Column("all", "", "score", "b")),
        size=200, options=("bands=rgb",), recipes={"finetune": OWN},
        demo=DemoSetup(size=48, columns=(Column("all"),)),
    )  # fmt: skip
    task, outside = registry.task(name), card(name, setups={name: setup})
    for protocol in task.protocols:
        first, second = task.recipes(outside, protocol, False)
        assert (first.train, first.test, first.label) == ("learn", "score", "a")
        assert (second.train, second.val, second.label) == ("all", "", "b")
        assert {(r.size, r.options) for r in (first, second)} == {(200, ("bands=rgb",))}
        (demo,) = task.recipes(outside, protocol, True)
        assert (demo.train, demo.size, demo.options) == ("all", 48, ("bands=rgb",))
    tuned, _ = task.recipes(outside, "finetune", False)
    assert (tuned.source, tuned.epochs, tuned.lr) == (OWN.source, OWN.epochs, OWN.lr)
    (tuned,) = task.recipes(outside, "finetune", True)
    assert (tuned.source, tuned.drop_path) == (OWN.source, 0.0)


def test_validation_selects_only_where_nothing_is_fitted_in_steps() -> None:
    task = registry.task("scene_classification")
    setup = {task.name: Setup(columns=(Column("learn", "choose", "score"),))}
    outside = card(task.name, setups=setup)
    assert task.recipes(outside, "knn", False)[0].val == "choose"
    assert task.recipes(outside, "finetune", False)[0].val == ""


@pytest.mark.parametrize("name", ["semantic_segmentation", "multimodal_segmentation"])
def test_a_data_set_names_its_main_score_and_its_background(name: str) -> None:
    task = registry.task(name)
    plain: Any = task.metric(card(name))
    assert (plain.main, plain.background) == ("miou", False)
    setup = {name: Setup(main="oa", background="other")}
    given: Any = task.metric(card(name, setups=setup))
    assert (given.main, given.background) == ("oa", True)
    without: Any = task.metric(card(name, setups=setup, classes=("field", "road")))
    assert not without.background


def test_masks_of_each_date_make_change_semantic() -> None:
    from skybench.metrics.change import Change
    from skybench.metrics.semantic_change import SemanticChange

    task, masks = registry.task("change_detection"), Target("masks", IGNORE)
    assert isinstance(task.metric(card(task.name)), Change)
    assert isinstance(task.metric(card(task.name, target=Target("mask", IGNORE))), Change)
    series = card(task.name, target=masks)
    assert isinstance(task.metric(series), SemanticChange)
    (recipe,) = task.recipes(series, "frozen", False)
    assert recipe.batch == 2  # series are long
    mixed = card(task.name, target=Target("mask"), setups={task.name: Setup(target=masks)})
    assert isinstance(task.metric(mixed), SemanticChange)


@pytest.mark.parametrize("name", ["horizontal_detection", "oriented_detection"])
def test_tiles_are_merged_where_the_data_set_says_so(name: str) -> None:
    task = registry.task(name)
    assert type(task.metric(card(name))).__name__ != "MergedTiles"
    assert type(task.metric(card(name, tile=512))).__name__ != "MergedTiles"
    tiled = card(name, setups={name: Setup(merge_tiles=True)})
    assert type(task.metric(tiled)).__name__ == "MergedTiles"


@pytest.mark.parametrize("name", TASKS)
def test_protocols_say_what_they_train(name: str) -> None:
    task = registry.task(name)
    for protocol in task.protocols:
        value = task.protocol(protocol)
        assert value.name == protocol
        assert value.trains_backbone == (protocol == "finetune")
        assert value.text


@pytest.mark.parametrize("name", TASKS)
def test_own_folders_have_a_least_number_of_steps_under_every_protocol(name: str) -> None:
    """Published sets only on frozen features, where the recipe is ours."""
    task = registry.task(name)
    for dataset in registry.own("datasets"):
        about = registry.dataset(dataset).CARD
        if name not in about.tasks:
            continue
        for protocol, demo in itertools.product(task.protocols, (False, True)):
            for recipe in task.recipes(about, protocol, demo):
                bounded = about.user_data or protocol != "finetune"
                assert bool(recipe.min_steps) == bool(bounded and not demo and recipe.epochs)
