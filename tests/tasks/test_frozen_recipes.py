"""How long and at which rates heads on frozen features are trained, and others' protocols."""

from __future__ import annotations

from itertools import product

import pytest

from skybench.core import Recipe, SourcedRecipe, registry
from skybench.core.sourced_recipe import ASPECTS
from skybench.heads.rate_search import search_steps
from skybench.plan.named_recipes import with_recipe
from skybench.training.lr_schedules import check_schedule
from skybench.training.recipe_check import check_rates

DENSE = ("semantic_segmentation", "multimodal_segmentation", "change_detection")
PROBES = {(s.recipe.protocol, s.name): s for s in registry.task(DENSE[0]).sourced}


TRAINED = [*product(DENSE, ("frozen", "linear"))]
TRAINED += [(task, "frozen") for task in ("horizontal_detection", "oriented_detection")]


def recipe_of(task: str, dataset: str, protocol: str, demo: bool = False) -> Recipe:
    return registry.task(task).recipes(registry.dataset(dataset).CARD, protocol, demo)[0]


@pytest.mark.parametrize(
    ("task", "dataset", "count", "steps"),
    [
        ("semantic_segmentation", "folder", 48, 501),
        ("semantic_segmentation", "folder", 192, 504),
        ("semantic_segmentation", "dyna_pla", 1320, 1660),
        ("semantic_segmentation", "potsdam", 3456, 4320),
        ("semantic_segmentation", "isaid", 33_978, 20_000),
        ("multimodal_segmentation", "pastis_mm", 1455, 1820),
        ("change_detection", "oscd", 827, 1040),
        ("change_detection", "levir_cd", 7120, 8900),
        ("change_detection", "dyna_s2", 55, 560),
    ],
)
def test_dense_heads_train_for_20_epochs_within_bounds_in_steps(
    task: str, dataset: str, count: int, steps: int
) -> None:
    for protocol in ("frozen", "linear"):
        recipe = recipe_of(task, dataset, protocol)
        assert recipe.epochs == 20
        assert recipe.steps(count) == steps


@pytest.mark.parametrize(
    ("task", "dataset", "count", "steps"),
    [
        ("horizontal_detection", "folder", 24, 501),
        ("horizontal_detection", "dior", 11_725, 17_592),
        ("oriented_detection", "dior_r", 11_725, 17_592),
    ],
)
def test_detectors_train_for_12_epochs_and_at_least_500_steps(
    task: str, dataset: str, count: int, steps: int
) -> None:
    assert recipe_of(task, dataset, "frozen").steps(count) == steps


@pytest.mark.parametrize(("task", "protocol"), TRAINED)
def test_all_data_sets_choose_from_the_same_rates(task: str, protocol: str) -> None:
    names = [n for n in registry.own("datasets") if task in registry.dataset(n).CARD.tasks]
    recipes = [recipe_of(task, name, protocol) for name in names]
    assert len({(r.rates, r.lr) for r in recipes}) == 1
    assert recipes[0].lr in map(float, recipes[0].rates)
    check_rates(recipes[0], trains_backbone=False)
    assert all("held-out" in r.source for r in recipes)


@pytest.mark.parametrize("task", registry.own("tasks"))
def test_nothing_is_searched_on_demo_data_and_in_fine_tuning(task: str) -> None:
    for name in registry.own("datasets"):
        if task not in registry.dataset(name).CARD.tasks:
            continue
        for protocol in registry.task(task).protocols:
            demo = recipe_of(task, name, protocol, demo=True)
            assert (demo.rates, demo.min_steps, demo.max_steps) == ((), 0, 0)
        assert recipe_of(task, name, "finetune").rates == ()


@pytest.mark.parametrize("protocol", ["knn", "linear", "frozen"])
def test_classifiers_by_l_bfgs_have_no_length_and_no_rate(protocol: str) -> None:
    recipe = recipe_of("scene_classification", "eurosat", protocol)
    assert (recipe.epochs, recipe.iterations, recipe.lr, recipe.rates) == (0, 0, 0.0, ())


def test_the_search_costs_less_than_twice_the_training_and_little_on_large_sets() -> None:
    for protocol in ("frozen", "linear"):
        small = recipe_of("semantic_segmentation", "folder", protocol)
        large = recipe_of("semantic_segmentation", "isaid", protocol)
        spent = [len(r.rates) * search_steps(r, n) for r, n in ((small, 48), (large, 33_978))]
        assert spent[0] <= 2 * small.steps(48)
        assert spent[1] <= 0.15 * large.steps(33_978)


def test_protocols_of_others_are_found_by_name_and_never_the_default() -> None:
    assert [*PROBES] == [
        ("frozen", "pangaea"), ("frozen", "torchgeo-bench"), ("linear", "torchgeo-bench"),
        ("linear", "olmoearth"),
    ]  # fmt: skip
    for task in DENSE[:2]:
        assert {(s.recipe.protocol, s.name): s for s in registry.task(task).sourced} == PROBES
    assert recipe_of("semantic_segmentation", "potsdam", "frozen").name == ""


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        (("frozen", "pangaea"), 34_560),  # as specified: 80 epochs of 8 on 3,456 tiles
        (("frozen", "torchgeo-bench"), 540),
        (("linear", "torchgeo-bench"), 540),
        (("linear", "olmoearth"), 21_600),
    ],
)
def test_protocols_of_others_have_their_length(key: tuple[str, str], steps: int) -> None:
    task, card = registry.task("semantic_segmentation"), registry.dataset("potsdam").CARD
    (recipe,) = task.recipes(with_recipe(card, task, PROBES[key]), key[0], False)
    assert recipe.name == key[1]
    assert recipe.steps(3456) == steps
    assert recipe.max_steps == recipe.min_steps == 0


def test_pangaea_and_olmoearth_keep_the_best_of_every_five_epochs_on_validation() -> None:
    task, card = registry.task("semantic_segmentation"), registry.dataset("folder").CARD
    for key in (("frozen", "pangaea"), ("linear", "olmoearth")):
        recipe = task.recipes(with_recipe(card, task, PROBES[key]), key[0], False)[0]
        assert (recipe.val, recipe.validate, recipe.state) == ("val", 5, "best-on-val")


@pytest.mark.parametrize("probe", PROBES.values(), ids=map(str, PROBES))
def test_every_aspect_of_a_protocol_of_others_has_a_verdict(probe: SourcedRecipe) -> None:
    task, card = registry.task("semantic_segmentation"), registry.dataset("folder").CARD
    assert {*probe.fields} == {*ASPECTS}
    assert all(f.at or f.note for f in probe.fields.values())
    assert all(f.note for f in probe.fields.values() if f.verdict in ("differs", "unknown"))
    assert probe.kind == "own source"
    check_schedule(probe.recipe.schedule)
    check_rates(probe.recipe, trains_backbone=False)
    assert task.check is not None
    task.check(probe.recipe, card)
