"""The recipes of the dense data sets are those of their sources, in steps and passes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from skybench.core import Recipe, SourcedRecipe, registry
from skybench.plan import named_recipes


def found(task: str, dataset: str, name: str) -> SourcedRecipe:
    sourced = registry.dataset(dataset).CARD.setup(task).named(name)
    assert sourced is not None
    return sourced


def columns(task: str, dataset: str, name: str = "") -> tuple[Recipe, ...]:
    """The recipes of a data set for each column: the usual ones of fine-tuning, or those by name.

    name: of a recipe, or a protocol.
    """
    plugin, card = registry.task(task), registry.dataset(dataset).CARD
    if name in plugin.protocols or not name:
        return plugin.recipes(card, name or "finetune", False)
    chosen = found(task, dataset, name)
    there = named_recipes.with_recipe(card, plugin, chosen)
    return plugin.recipes(there, chosen.recipe.protocol, False)


@pytest.mark.parametrize(
    ("cell", "count", "an_epoch", "steps"),  # training samples; steps as logs and sources have them
    [
        (("semantic_segmentation", "isaid", "official"), 33_978, 2124, 80_000),
        (("semantic_segmentation", "isaid", "rvsa"), 33_978, 4248, 160_000),
        (("semantic_segmentation", "potsdam", "cmid"), 3_456, 432, 21_600),
        (("semantic_segmentation", "potsdam", "rvsa"), 24 * 19**2, 1083, 160_000),
        (("semantic_segmentation", "dyna_s2", "atlantic"), 1_320, 165, 10_000),
        (("change_detection", "dyna_s2", "atlantic"), 55, 28, 1_670),
        (("semantic_segmentation", "dyna_pla", "isaid"), 1_320, 83, 10_000),
        (("multimodal_segmentation", "dyna_mm", "isaid"), 1_320, 83, 10_000),
        (("multimodal_segmentation", "pastis_mm", "germany"), 1_455, 91, 20_000),
        (("change_detection", "levir_cd", "bit"), 7_120, 890, 178_000),
        (("change_detection", "levir_cd", "mtp"), 7_120, 223, 33_450),
        (("change_detection", "levir_cd", "bit-cd"), 8_144, 1018, 203_600),
        (("change_detection", "oscd", "mtp"), 827, 26, 2_600),
        (("change_detection", "oscd", "seco"), 827, 26, 2_500),
    ],
)
def test_steps_are_those_of_the_sources(
    cell: tuple[str, str, str], count: int, an_epoch: int, steps: int
) -> None:
    for recipe in columns(*cell):
        assert math.ceil(count / recipe.batch) == an_epoch
        assert recipe.steps(count) == steps


def test_rvsa_sees_potsdam_148_times_in_tiles_that_overlap() -> None:
    (recipe,) = columns("semantic_segmentation", "potsdam", "rvsa")
    assert (recipe.tile, recipe.size, recipe.options) == (600, 512, ("overlap=half",))
    assert recipe.iterations * recipe.batch // (24 * 19**2) == 147  # and a part of the next
    (usual,) = columns("semantic_segmentation", "potsdam")
    assert (usual.name, usual.tile, usual.options) == ("cmid", 0, ())


@pytest.mark.parametrize("task", ["semantic_segmentation", "change_detection"])
def test_nothing_is_chosen_on_the_cubes_that_are_scored(task: str) -> None:
    val, test = columns(task, "dyna_s2")
    assert (val.label, val.val, val.test, val.validate) == ("val", "", "val", 0)
    assert (test.label, test.val, test.test, test.validate) == ("test", "val", "test", 3)
    assert val.state == test.state == "last"


def test_pastis_has_columns_of_18_and_of_19_classes() -> None:
    for protocol in ("finetune", "frozen", "linear"):
        first, second = columns("multimodal_segmentation", "pastis_mm", protocol)
        assert (first.label, first.options) == ("18 classes", ("dates=monthly", "classes=18"))
        # the option's default, so that records of 19 classes have the fingerprint they had
        assert (second.label, second.options) == ("19 classes", ("dates=monthly",))


def test_the_recipe_without_a_trained_encoder_is_had_by_name_alone() -> None:
    (usual,) = columns("change_detection", "oscd", "frozen")
    assert (usual.name, usual.optimizer, usual.augment) == ("", "", ())
    (recipe,) = columns("change_detection", "oscd", "seco")
    assert (recipe.protocol, recipe.name, recipe.size) == ("frozen", "seco", 96)
    assert recipe.augment == ("flip", "quarter")


def test_what_is_chosen_on_a_test_set_elsewhere_is_not_here() -> None:
    (recipe,) = columns("change_detection", "levir_cd", "bit-cd")
    assert (recipe.train, recipe.val, recipe.test, recipe.state) == ("trainval", "", "test", "last")
    note = found("change_detection", "levir_cd", "bit-cd").verdict("state").note
    assert "on the test set" in note


@pytest.mark.parametrize(
    ("task", "dataset", "names"),
    [
        ("semantic_segmentation", "isaid", ["official", "rvsa"]),
        ("semantic_segmentation", "potsdam", ["cmid", "rvsa"]),
        ("change_detection", "levir_cd", ["bit", "mtp", "bit-resnet", "bit-cd"]),
        ("change_detection", "oscd", ["mtp", "seco"]),
    ],
)
def test_the_first_by_name_is_the_usual_one(task: str, dataset: str, names: list[str]) -> None:
    card = registry.dataset(dataset).CARD
    assert [s.name for s in card.setup(task).sourced] == names
    assert {r.name for r in columns(task, dataset)} == {names[0]}


def test_official_is_what_skysense_published_alone() -> None:
    kinds: dict[str, set[Any]] = {}
    for dataset in ("isaid", "potsdam", "dyna_pla", "dyna_s2", "dyna_mm", "pastis_mm", "levir_cd",
                    "oscd"):  # fmt: skip
        card = registry.dataset(dataset).CARD
        for setup in card.setups.values():
            for sourced in setup.sourced:
                kinds.setdefault(sourced.kind, set()).add((dataset, sourced.name))
    assert kinds["official"] == {("isaid", "official")}
    assert "ours" not in kinds
