"""Recipes: which of their fields enter a fingerprint."""

from __future__ import annotations

import dataclasses
import json

from skybench.core import Recipe, affects
from skybench.core.recipe import LATER, TOLD


def fields(recipe: Recipe) -> dict[str, object]:
    return affects(dataclasses.asdict(recipe))


def test_the_source_the_name_and_the_label_change_no_fingerprint() -> None:
    plain = Recipe("knn")
    told = dataclasses.replace(plain, source="official", label="20 %", name="rvsa")
    assert fields(told) == fields(plain)


def test_later_fields_count_only_where_they_are_changed() -> None:
    plain = Recipe("finetune")
    assert not {*LATER} & {*fields(plain)}
    assert fields(dataclasses.replace(plain, patience=3))["patience"] == 3
    assert fields(dataclasses.replace(plain, augment=("flip",)))["augment"] == ("flip",)


def test_a_recipe_of_a_record_counts_as_its_own() -> None:
    for recipe in (Recipe("knn"), Recipe("finetune", epochs=3, augment=("flip",))):
        stored = json.loads(json.dumps(dataclasses.asdict(recipe)))  # tuples become lists
        assert json.loads(json.dumps(fields(recipe))) == affects(stored)


def test_every_other_field_enters_the_fingerprint() -> None:
    named = {field.name for field in dataclasses.fields(Recipe)}
    assert {*fields(Recipe("knn"))} == named - {*TOLD} - {*LATER}
