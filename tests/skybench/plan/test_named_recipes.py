"""Recipes by name, in a request and on a card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import DatasetCard, Recipe, Setup, SourcedRecipe, Task, UsageError, registry
from skybench.plan import named_recipes
from skybench.plan.planner import Planner
from skybench.plan.request import Request

TASK = registry.task("semantic_segmentation")
FAST = SourcedRecipe("fast", "ours", Recipe("finetune", val="", epochs=1, batch=2, lr=1e-3))
SLOW = SourcedRecipe("slow", "ours", Recipe("finetune", val="", epochs=9, batch=2, lr=1e-3))
PROBE = SourcedRecipe("probe", "ours", Recipe("linear", val="", epochs=3, batch=2, lr=1e-2))


@pytest.fixture
def card() -> DatasetCard:
    known = registry.dataset("isaid").CARD
    setup = replace(known.setup(TASK.name), sourced=(SLOW, FAST))
    return replace(known, setups={TASK.name: setup})


@pytest.fixture
def task() -> Task:
    return replace(TASK, sourced=(PROBE,))


def epochs(texts: list[str], task: Task, card: DatasetCard, protocol: str = "frozen") -> list[int]:
    found = named_recipes.planned_recipes(texts, task, card, protocol, False)
    return [recipe.epochs for recipe in found]


def test_the_usual_recipe_is_the_first_and_others_are_named(task: Task, card: DatasetCard) -> None:
    assert epochs([], task, card, "finetune") == [9]
    assert epochs(["isaid:fast"], task, card) == [1]
    assert epochs(["isaid:fast", "semantic_segmentation/isaid:slow"], task, card) == [1, 9]
    assert epochs(["linear:probe"], task, card) == [3]
    assert epochs(["isaid:probe"], task, card) == [3]


def test_what_was_asked_of_others_is_not_run_here(task: Task, card: DatasetCard) -> None:
    assert epochs(["frozen:probe"], task, card) == []  # the protocol is another
    assert epochs(["change_detection/isaid:fast"], task, card) == []
    assert epochs(["dior:official"], task, card, "finetune") == [9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isaid:offcial", "No recipe of isaid 'offcial'. Did you mean 'official'"),
        ("isiad:official", "Did you mean 'isaid'"),
        ("official", "Expected a recipe as DATASET:NAME or PROTOCOL:NAME, but got 'official'"),
        ("frozen:", "Expected a recipe as DATASET:NAME"),
        ("finetune:pangaea", "No recipe of finetune 'pangaea'"),
    ],
)
def test_unknown_recipes_are_refused_with_the_nearest(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Planner(Request(recipes=[text]))


def test_a_recipe_chooses_its_dataset_and_protocol() -> None:
    request = Request(["imagenet"], recipes="isaid:official,dior:official", data="demo")
    cells = Planner(request).cells()
    assert [(c.dataset, c.recipe.protocol, c.recipe.name) for c in cells] == [
        ("dior", "finetune", "official"), ("isaid", "finetune", "official"),
    ]  # fmt: skip


def test_every_recipe_of_every_dataset_can_be_asked_for() -> None:
    tasks = [registry.task(name) for name in registry.names("tasks")]
    cards = [registry.dataset(name).CARD for name in registry.names("datasets")]
    texts = [
        f"{task.name}/{card.name}:{sourced.name}"
        for task in tasks for card in cards if task.name in card.tasks
        for sourced in named_recipes.recipes_of(task, card)
    ]  # fmt: skip
    named_recipes.check_asked(texts, tasks)
    assert len(texts) > 20


def test_a_setup_without_names_is_as_before() -> None:
    assert Setup(recipes={"finetune": FAST.recipe}).recipe("finetune", SLOW.recipe) == FAST.recipe
