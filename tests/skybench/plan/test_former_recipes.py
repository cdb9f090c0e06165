"""Records of former recipes: which are known as such, and what each was made with."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from skybench.core import Recipe, Record, Setup, SourcedRecipe, registry
from skybench.core.recipe import LATER
from skybench.plan.former_recipes import FORMER, usual_sourced, whole_recipe, with_recipes
from skybench.records.labels import recipe_label

USUAL = Recipe("finetune", epochs=10, batch=8, lr=1e-4, schedule="cosine", mixup=0.8)
OTHER = replace(USUAL, batch=64, lr=2e-4)
MODEL, TASK = "gfm", "scene_classification"


@pytest.fixture(autouse=True)
def _recipes_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """AID with two recipes of fine-tuning by name, and one of a probe that is never the usual."""
    made = (
        SourcedRecipe("usual", "official", USUAL), SourcedRecipe("other", "ours", OTHER),
        SourcedRecipe("probe", "own source", Recipe("linear", lr=0.5), usual=False),
    )  # fmt: skip
    card = registry.dataset("aid").CARD
    setup = Setup(columns=card.setup(TASK).columns, sourced=made)
    monkeypatch.setattr(registry.dataset("aid"), "CARD", replace(card, setups={TASK: setup}))


def record(dataset: str = "aid", used: dict[str, Any] | None = None, **changes: Any) -> Record:
    """A record as a run writes it, of the usual recipe with some fields changed."""
    card = registry.dataset(dataset).CARD
    usual = registry.task(TASK).recipes(card, "finetune", False)[0]
    recipe = {
        n: list(v) if isinstance(v, tuple) else v
        for n, v in (dataclasses.asdict(usual) | changes).items()
    }
    return Record(MODEL, TASK, dataset, recipe, "measured", "real", "f", {"oa": 50.0},
                  used={"sensors": ["hr"], **(used or {})})  # fmt: skip


def judged(made: Record) -> tuple[bool, str]:
    (found,) = with_recipes([made])
    return FORMER in found.flags, found.used.get("recipe_name", "")


def test_a_record_of_a_present_recipe_is_none() -> None:
    assert judged(record()) == (False, "")
    assert judged(record(name="usual", source="another text", label="renamed")) == (False, "")


def test_what_a_user_asks_for_in_a_run_is_not_of_the_recipe() -> None:
    asked: dict[str, Any] = {"fraction": 0.1, "limit": 7, "seeds": 3, "sensors": ["hr"]}
    assert judged(record(**asked)) == (False, "")


@pytest.mark.parametrize(
    "change", [{"batch": 9}, {"train": "train50"}, {"clip": 35.0}, {"options": ["tiles=600"]}]
)
def test_a_record_of_no_present_recipe_is_flagged(change: dict[str, Any]) -> None:
    assert judged(record(**change)) == (True, "")


def test_a_record_of_another_present_recipe_bears_its_name() -> None:
    changes: dict[str, Any] = {"batch": 64, "lr": 2e-4}
    assert judged(record(name="other", **changes)) == (False, "other")
    assert judged(record(**changes)) == (False, "other")  # from before there were names
    (found,) = with_recipes([record(**changes)])
    assert recipe_label(found) == "recipe=other"
    assert with_recipes([found]) == [found]


def test_the_usual_recipe_of_a_protocol_may_be_one_without_a_name() -> None:
    task, card = registry.task(TASK), registry.dataset("aid").CARD
    (generic, *_) = task.recipes(card, "linear", False)
    assert judged(record(**dataclasses.asdict(generic))) == (False, "")
    assert judged(record(**dataclasses.asdict(generic) | {"lr": 0.5})) == (False, "probe")
    assert usual_sourced(task, card, "linear") is None


def test_a_former_recipe_keeps_the_name_that_is_still_known() -> None:
    assert judged(record(name="other", batch=3)) == (True, "other")
    assert judged(record(name="gone", batch=3)) == (True, "")


def test_a_field_that_came_later_counts_as_its_default() -> None:
    old = record()
    recipe = {n: v for n, v in old.recipe.items() if n not in LATER}
    assert judged(replace(old, recipe=recipe)) == (True, "")  # without schedule and mixup
    recipe |= {"schedule": "cosine", "mixup": 0.8}
    del recipe["options"]  # which the very first records lack
    assert judged(replace(old, recipe=recipe)) == (False, "")


def test_detectors_cut_gradients_before_there_was_a_field_for_it() -> None:
    card = registry.dataset("dior").CARD
    (now,) = registry.task("horizontal_detection").recipes(card, "finetune", False)
    old = {n: v for n, v in dataclasses.asdict(now).items() if n != "clip"}
    made = replace(record(), task="horizontal_detection", dataset="dior", recipe=old)
    assert whole_recipe(made)["clip"] == 35.0
    assert judged(made) == (now.clip != 35.0, "")
    assert judged(replace(made, recipe={**old, "clip": now.clip})) == (False, "")


def test_overridden_fields_are_not_compared_nor_what_follows_from_them() -> None:
    assert judged(record(batch=9, used={"overridden": ["batch"]})) == (False, "")
    assert judged(record(batch=9, used={"overridden": ["lr"]})) == (True, "")
    changed: dict[str, Any] = {"epochs": 3, "min_steps": 5, "iterations": 7}
    assert judged(record(**changed, used={"overridden": ["epochs"]})) == (False, "")
    option: dict[str, Any] = {"options": ["tiles=600"]}
    assert judged(record(**option, used={"overridden": ["tiles"]})) == (False, "")


def test_a_folder_decides_on_its_tiles_and_validation() -> None:
    assert judged(record("folder", tile=64, val="", label="my city")) == (False, "")
    assert judged(record("folder", batch=999)) == (True, "")


def test_nothing_is_said_of_plugins_that_are_gone_nor_of_records_without_a_recipe() -> None:
    for gone in ({"dataset": "gone"}, {"task": "gone"}):
        found = replace(record(batch=9), **gone)  # type: ignore[arg-type]
        assert with_recipes([found]) == [found]
    assert judged(record(batch=9, protocol="gone")) == (False, "")
    assert judged(replace(record(), recipe={"protocol": "finetune", "label": ""})) == (False, "")


def test_every_present_recipe_is_known_on_real_and_demo_data() -> None:
    """As a run states it: every task, data set and protocol that there is."""
    made = []
    for name in registry.names("datasets"):
        card = registry.dataset(name).CARD
        for task in map(registry.task, card.tasks):
            for protocol in task.protocols:
                for demo in (False, True):
                    made += [
                        Record(MODEL, task.name, name, dataclasses.asdict(r), "cannot run",
                               "demo" if demo else "real", "f")
                        for r in task.recipes(card, protocol, demo)
                    ]  # fmt: skip
    found = with_recipes(made)
    assert [r for r in found if FORMER in r.flags or "recipe_name" in r.used] == []
    assert len(found) > 100
