from __future__ import annotations

import dataclasses

import pytest

from skybench.core import Recipe
from skybench.core.sourced_recipe import ASPECTS
from skybench.plan import recipe_text


def test_every_field_has_a_meaning() -> None:
    assert {*recipe_text.MEANING} == {f.name for f in dataclasses.fields(Recipe)}
    assert {*recipe_text.EMPTY} < {*recipe_text.MEANING}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("frozen"), "the head's own"),
        (Recipe("finetune", schedule="cosine"), "falls along half a cosine to 0"),
        (
            Recipe("finetune", schedule="step", warm_up=0.1),
            "rises over 10 % of the steps, then stays, a tenth after 8/12 of all steps and again "
            "after 11/12",
        ),
    ],
)
def test_schedules_in_words(recipe: Recipe, words: str) -> None:
    assert recipe_text.schedule_text(recipe) == words


def test_former_kinds_are_still_understood() -> None:
    assert recipe_text.recipe_kind(Recipe("x", source="seen substitute: a file")) == "substitute"
    assert recipe_text.recipe_kind(Recipe("x", source="a file")) == "ours"


def test_an_aspect_is_told_by_all_of_its_fields() -> None:
    recipe = Recipe("finetune", epochs=3, mixup=0.8, cutmix=1.0, validate=2, state="last")
    said = {aspect: recipe_text.aspect_value(recipe, aspect) for aspect in ASPECTS}
    assert said["length"] == "3 epochs"
    assert said["mixing"] == "0.8, cutmix 1"
    assert said["state"] == "last"
    assert said["optimizer"] == "AdamW"
    assert said["metric"] == said["features"] == ""
