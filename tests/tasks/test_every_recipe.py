"""Every recipe can be meant, says where it comes from, and is the one that its source has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any, cast

import pytest

from skybench.augment import apply
from skybench.core import (
    DatasetCard,
    DatasetPlugin,
    Recipe,
    SourcedRecipe,
    Task,
    registry,
)
from skybench.core.recipe import LATER
from skybench.core.sourced_recipe import ASPECTS, KINDS
from skybench.data.demo_folder import demo_root
from skybench.plan import named_recipes, recipe_text
from skybench.plan.request import WORDS
from skybench.training.lr_schedules import check_schedule

PAIRS = recipe_text.task_datasets()
NAMES = [f"{task.name}/{card.name}" for task, card in PAIRS]
every_pair = pytest.mark.parametrize(("task", "card"), PAIRS, ids=NAMES)

# What of the recipes goes into the fingerprints of records, for real and demo data: the recipes
# without fine-tuning. If a change is meant, raise the task's version and put the new digest here.
FROZEN = {
    "change_detection/dyna_s2": "00d725104812",
    "change_detection/folder": "ea019444bad5",
    "change_detection/levir_cd": "ea019444bad5",
    "change_detection/oscd": "3b70aeb5183a",
    "horizontal_detection/dior": "df290df802d7",
    "horizontal_detection/folder": "0189ed8dabc5",
    "multimodal_classification/ben_mm": "d20aa84b0da4",
    "multimodal_segmentation/dyna_mm": "88176b8b7a46",
    "multimodal_segmentation/pastis_mm": "935aed14faf9",
    "oriented_detection/dior_r": "df290df802d7",
    "oriented_detection/fair1m": "9bffc8078ec6",
    "oriented_detection/folder": "0189ed8dabc5",
    "scene_classification/aid": "e79e557f6c7f",
    "scene_classification/ben_s2": "d7ef2ac97d4d",
    "scene_classification/eurosat": "538b0f2e15b3",
    "scene_classification/fmow_s2": "a464f059c4fd",
    "scene_classification/folder": "0127d7ffe9a7",
    "scene_classification/resisc45": "3dd457820242",
    "semantic_segmentation/dyna_pla": "c25427733a96",
    "semantic_segmentation/dyna_s2": "c25427733a96",
    "semantic_segmentation/folder": "fe1f8a87edb4",
    "semantic_segmentation/isaid": "5865716ad3b5",
    "semantic_segmentation/potsdam": "fe1f8a87edb4",
}

# The same of the fine-tuning recipes.
FINETUNED = {
    "change_detection/dyna_s2": "dce75f083daa",
    "change_detection/folder": "85d05956cd4b",
    "change_detection/levir_cd": "b6ea7b83ed20",
    "change_detection/oscd": "45bad4d6faf3",
    "horizontal_detection/dior": "a594afd92e90",
    "horizontal_detection/folder": "afa26ebe08f7",
    "multimodal_classification/ben_mm": "0505882738cd",
    "multimodal_segmentation/dyna_mm": "cced2686003a",
    "multimodal_segmentation/pastis_mm": "c2020a22c23a",
    "oriented_detection/dior_r": "465f5a9960a2",
    "oriented_detection/fair1m": "d4a16bc89d68",
    "oriented_detection/folder": "afa26ebe08f7",
    "scene_classification/aid": "d1306cbb6213",
    "scene_classification/ben_s2": "2917d1cdf1a4",
    "scene_classification/eurosat": "a64b70dedc19",
    "scene_classification/fmow_s2": "f207f9623a67",
    "scene_classification/folder": "67d438506bd7",
    "scene_classification/resisc45": "1b2e7c9af746",
    "semantic_segmentation/dyna_pla": "f6d118063ab5",
    "semantic_segmentation/dyna_s2": "c5c787c76680",
    "semantic_segmentation/folder": "64957ae669dc",
    "semantic_segmentation/isaid": "20c7db1eed14",
    "semantic_segmentation/potsdam": "d3f26354f656",
}

OFFICIAL: dict[str, dict[str, Any]] = {
    "semantic_segmentation/isaid": {
        "train": "train", "val": "", "test": "val", "size": 0, "tile": 0, "epochs": 0,
        "iterations": 80000, "batch": 16, "lr": 6e-5, "weight_decay": 0.01, "schedule": "poly",
        "warm_up": 1500, "layer_decay": 0.9, "drop_path": 0.2, "precision": "tf32", "width": 512,
        "augment": ("resize_crop=0.5,2,0.75", "flip", "photometric"), "views": (),
        "loss": "all-pixels", "clip": 0, "state": "last", "optimizer": "",
    },
    "horizontal_detection/dior": {
        "train": "trainval", "val": "", "test": "test", "size": 800, "tile": 0, "epochs": 12,
        "iterations": 0, "batch": 8, "lr": 1e-4, "weight_decay": 0.05, "schedule": "step",
        "warm_up": 1000, "layer_decay": 0.9, "drop_path": 0.2, "precision": "", "width": 256,
        "augment": ("flip",), "views": (), "clip": 0, "state": "last", "optimizer": "",
    },
}  # fmt: skip


def digest(task: Task, card: DatasetCard, tuned: bool) -> str:
    """Of the usual recipes of a pair and, with fine-tuning, of those by name."""

    def plain(recipe: Recipe) -> dict[str, Any]:
        values = dataclasses.asdict(recipe)
        later = {n for n in LATER if values[n] == getattr(Recipe, n)}
        told = {"source", "name"}
        return {n: v for n, v in values.items() if n not in told and n not in later}

    found: list[Any] = [
        [name, demo, [plain(r) for r in task.recipes(card, name, demo)]]
        for name in sorted(task.protocols)
        if task.protocol(name).trains_backbone == tuned
        for demo in (False, True)
    ]
    if tuned:
        found += [[s.name, [plain(r) for r in named(task, card, s)]] for s in sourced(task, card)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]


def sourced(task: Task, card: DatasetCard) -> tuple[SourcedRecipe, ...]:
    return card.setup(task.name).sourced


def named(task: Task, card: DatasetCard, chosen: SourcedRecipe) -> tuple[Recipe, ...]:
    there = named_recipes.with_recipe(card, task, chosen)
    return task.recipes(there, chosen.recipe.protocol, False)


def test_the_recipes_without_fine_tuning_are_those_of_earlier_records() -> None:
    assert {n: digest(*pair, False) for n, pair in zip(NAMES, PAIRS, strict=True)} == FROZEN


def test_the_fine_tuning_recipes_are_those_of_earlier_records() -> None:
    assert {n: digest(*pair, True) for n, pair in zip(NAMES, PAIRS, strict=True)} == FINETUNED


@every_pair
def test_every_recipe_can_be_meant(task: Task, card: DatasetCard) -> None:
    usual = [
        (protocol, task.recipes(card, protocol, demo))
        for protocol in task.protocols for demo in (False, True)
    ]  # fmt: skip
    by_name = [(s.recipe.protocol, named(task, card, s)) for s in sourced(task, card)]
    for protocol, made in usual + by_name:
        assert len({r.label for r in made}) == len(made)
        for recipe in made:
            assert recipe.protocol == protocol
            assert {recipe.train, recipe.test} <= {*card.splits}
            assert recipe.precision in WORDS["precision"]
            assert recipe.state in WORDS["state"]
            assert recipe.state != "best-on-test"  # never, but by --set
            assert recipe.state != "best-on-val" or (recipe.validate and recipe.val)
            assert not recipe.validate or recipe.val != recipe.test
            check_schedule(recipe.schedule)
            apply.check_augmentations(recipe.augment)
            if task.check is not None:
                task.check(recipe, card)


SOURCED = {f"{t.name}/{c.name}:{s.name}": (t, s) for t, c in PAIRS for s in sourced(t, c)}
SOURCED |= {f"{t.name}:{s.name}-{s.recipe.protocol}": (t, s) for t, _ in PAIRS for s in t.sourced}
every_source = pytest.mark.parametrize(("task", "recipe"), SOURCED.values(), ids=[*SOURCED])


@every_source
def test_every_source_says_what_it_has_of_every_aspect(task: Task, recipe: SourcedRecipe) -> None:
    assert recipe.kind in KINDS
    assert recipe.name not in task.protocols
    assert {*recipe.fields} <= {*ASPECTS}
    if recipe.kind == "ours":
        return
    assert {*recipe.fields} == {*ASPECTS}, {*ASPECTS} - {*recipe.fields}
    assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{7,40}", recipe.repository)
    assert recipe.file
    for aspect in ASPECTS:
        verdict, at, note = recipe.verdict(aspect)
        if verdict in ("agrees", "differs"):
            assert re.search(r"@[0-9a-f]{7,40}:\S", recipe.place(aspect)), (aspect, at)
        assert note or verdict == "agrees", aspect
        assert ";" not in at, (aspect, "a sentence in the place of a file")
        assert not re.fullmatch(r"\S+\.py(:[\d, -]+)?", note), (
            aspect,
            "a file in the place of a note",
        )


@every_pair
def test_both_states_are_scored_where_there_are_images_to_validate_on(
    task: Task, card: DatasetCard
) -> None:
    for recipe in task.recipes(card, "finetune", False):
        if card.name == "eurosat":  # its validation split is nobody's official one
            continue
        apart = "val" in card.splits and "val" not in (recipe.train, recipe.test)
        if apart and recipe.train != "trainval" and not card.user_data:
            assert recipe.val == "val"
            assert recipe.validate


def test_only_what_is_skysense_s_own_is_called_official() -> None:
    official = {name for name, (_, s) in SOURCED.items() if s.kind == "official"}
    assert official == {f"{name}:official" for name in OFFICIAL}


@every_pair
def test_every_fine_tuning_recipe_is_whole(task: Task, card: DatasetCard) -> None:
    for demo in (False, True):
        for recipe in task.recipes(card, "finetune", demo):
            assert bool(recipe.epochs) != bool(recipe.iterations)
            assert min(recipe.batch, recipe.lr, recipe.layer_decay) > 0
            assert recipe.schedule
            assert recipe.augment
            assert recipe.source.startswith(tuple(f"{kind}: " for kind in KINDS))
            if demo:
                assert (recipe.drop_path, recipe.iterations, recipe.lr) == (0, 0, 1e-3)
                assert recipe.warm_up < 1
                assert recipe.epochs <= 12
                assert recipe.batch <= 8


def test_how_near_the_usual_recipes_are_to_the_authors() -> None:
    kinds: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for name, (task, card) in zip(NAMES, PAIRS, strict=True):
        (kind,) = {recipe_text.recipe_kind(r) for r in task.recipes(card, "finetune", False)}
        kinds[kind].add(name)
    assert kinds["official"] == {*OFFICIAL}
    assert kinds["ours"] == {n for n in NAMES if n.endswith(("folder", "ben_s2", "ben_mm"))}
    assert len(kinds["substitute"]) + len(kinds["own source"]) == 14


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_numbers(name: str) -> None:
    task, card = PAIRS[NAMES.index(name)]
    (recipe,) = task.recipes(card, "finetune", False)
    assert {field: getattr(recipe, field) for field in OFFICIAL[name]} == OFFICIAL[name]
    assert recipe.size or card.tile == 896


@pytest.mark.parametrize(
    ("name", "steps", "samples"),  # an epoch in the logs of MTP and RVSA, CMID's count
    [
        ("change_detection/levir_cd:mtp", 223, 7120), ("change_detection/oscd:mtp", 26, 827),
        ("scene_classification/resisc45:mtp", 99, 6300),
        ("oriented_detection/dior_r:mtp", 2932, 11725),
        ("oriented_detection/dior_r:rvsa", 5863, 11725),
        ("horizontal_detection/dior:mtp", 2932, 11725),
        ("semantic_segmentation/potsdam:cmid", 432, 3456),
    ],
)  # fmt: skip
def test_batches_are_those_of_the_logs(name: str, steps: int, samples: int) -> None:
    place, _, recipe_name = name.partition(":")
    task, card = PAIRS[NAMES.index(place)]
    chosen = card.setup(task.name).named(recipe_name)
    assert chosen is not None
    *_, recipe = named(task, card, chosen)
    assert card.splits[recipe.train] == samples
    assert -(-samples // recipe.batch) == steps


@pytest.mark.parametrize(
    ("task", "card"),
    [pair for pair in PAIRS if not pair[1].user_data],
    ids=[n for n, pair in zip(NAMES, PAIRS, strict=True) if not pair[1].user_data],
)
def test_the_augmentation_fits_the_dataset(task: Task, card: DatasetCard) -> None:
    (recipe, *_) = task.recipes(card, "finetune", True)
    real = task.recipes(card, "finetune", False)
    assert {r.augment for r in real} == {recipe.augment}
    plugin = cast(DatasetPlugin, registry.load("datasets", card.name))
    options = dict(option.split("=", 1) for option in recipe.options)
    opened = plugin.open(demo_root(card.name), recipe.train, recipe.tile, **options)
    sample = opened.read(0)
    for draw in range(2):
        made = apply.augment(sample, recipe.augment, opened.card, (0, draw, 0))
        assert {n: x.dtype for n, x in made.images.items()} == {
            n: x.dtype for n, x in sample.images.items()
        }


@every_pair
def test_a_folder_is_the_only_one_with_recipes_for_images_of_your_own(
    task: Task, card: DatasetCard
) -> None:
    sources = {r.source for r in task.recipes(card, "finetune", False)}
    assert all("of your own;" in source for source in sources) == card.user_data
