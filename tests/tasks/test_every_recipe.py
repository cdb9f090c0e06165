"""Every recipe can be meant, says where it comes from, and is the one that its source has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, cast

import pytest

from skybench.augment import apply
from skybench.core import DatasetCard, DatasetPlugin, Recipe, Task, registry
from skybench.core.recipe import LATER
from skybench.data.demo_folder import demo_root
from skybench.plan import recipe_text
from skybench.plan.request import WORDS

PAIRS = recipe_text.task_datasets()
NAMES = [f"{task.name}/{card.name}" for task, card in PAIRS]
every_pair = pytest.mark.parametrize(("task", "card"), PAIRS, ids=NAMES)

# What of the recipes goes into the fingerprints of records, for real and demo data: the recipes
# without fine-tuning. If a change is meant, raise the task's version and put the new digest here.
FROZEN = {
    "change_detection/dyna_s2": "74d20c2ed9d1",
    "change_detection/folder": "08d7d5c30b05",
    "change_detection/levir_cd": "6d1decc5ca7a",
    "change_detection/oscd": "db69b6cb7963",
    "horizontal_detection/dior": "7ea5914ba88a",
    "horizontal_detection/folder": "4f08b9b41019",
    "multimodal_classification/ben_mm": "d20aa84b0da4",
    "multimodal_segmentation/dyna_mm": "f732d290f1c2",
    "multimodal_segmentation/pastis_mm": "108032b1b2ac",
    "oriented_detection/dior_r": "7ea5914ba88a",
    "oriented_detection/fair1m": "766b7746aca8",
    "oriented_detection/folder": "4f08b9b41019",
    "scene_classification/aid": "e79e557f6c7f",
    "scene_classification/ben_s2": "d7ef2ac97d4d",
    "scene_classification/eurosat": "538b0f2e15b3",
    "scene_classification/fmow_s2": "a464f059c4fd",
    "scene_classification/folder": "0127d7ffe9a7",
    "scene_classification/resisc45": "3dd457820242",
    "semantic_segmentation/dyna_pla": "3ceb66b82347",
    "semantic_segmentation/dyna_s2": "3ceb66b82347",
    "semantic_segmentation/folder": "54e7ea81442c",
    "semantic_segmentation/isaid": "d888e7a87b0e",
    "semantic_segmentation/potsdam": "d7f9bb3ea6f1",
}

# The same of the fine-tuning recipes.
FINETUNED = {
    "change_detection/dyna_s2": "8f278c895423",
    "change_detection/folder": "85d05956cd4b",
    "change_detection/levir_cd": "1412c389e249",
    "change_detection/oscd": "7b55b500a524",
    "horizontal_detection/dior": "8e9c1958ecde",
    "horizontal_detection/folder": "afa26ebe08f7",
    "multimodal_classification/ben_mm": "a166b36f4c86",
    "multimodal_segmentation/dyna_mm": "922530bfffdd",
    "multimodal_segmentation/pastis_mm": "ac7268d439f9",
    "oriented_detection/dior_r": "e24ea0db25d2",
    "oriented_detection/fair1m": "391f6a262c66",
    "oriented_detection/folder": "afa26ebe08f7",
    "scene_classification/aid": "a37d7bbdc520",
    "scene_classification/ben_s2": "a459c5c7bd72",
    "scene_classification/eurosat": "4a43852ad748",
    "scene_classification/fmow_s2": "70137c417aeb",
    "scene_classification/folder": "67d438506bd7",
    "scene_classification/resisc45": "6ce1468fe4fb",
    "semantic_segmentation/dyna_pla": "615905cb2b5f",
    "semantic_segmentation/dyna_s2": "e78e23451e17",
    "semantic_segmentation/folder": "64957ae669dc",
    "semantic_segmentation/isaid": "b28ecafcc0d3",
    "semantic_segmentation/potsdam": "4ed215db8648",
}

OFFICIAL: dict[str, dict[str, Any]] = {
    "semantic_segmentation/isaid": {
        "train": "train", "val": "", "test": "val", "size": 0, "tile": 0, "epochs": 0,
        "iterations": 80000, "batch": 16, "lr": 6e-5, "weight_decay": 0.01, "schedule": "poly",
        "warm_up": 1500, "layer_decay": 0.9, "drop_path": 0.2, "precision": "", "width": 512,
        "augment": ("resize_crop=0.5,2,0.75", "flip", "photometric"), "views": (),
    },
    "horizontal_detection/dior": {
        "train": "trainval", "val": "", "test": "test", "size": 800, "tile": 0, "epochs": 12,
        "iterations": 0, "batch": 8, "lr": 1e-4, "weight_decay": 0.05, "schedule": "step",
        "warm_up": 1000, "layer_decay": 0.9, "drop_path": 0.2, "precision": "", "width": 256,
        "augment": ("flip",), "views": (),
    },
}  # fmt: skip
SUBSTITUTE = {
    "semantic_segmentation/dyna_pla", "semantic_segmentation/dyna_s2",
    "semantic_segmentation/potsdam", "change_detection/dyna_s2", "change_detection/levir_cd",
    "change_detection/oscd", "multimodal_segmentation/dyna_mm", "multimodal_segmentation/pastis_mm",
    "oriented_detection/dior_r", "oriented_detection/fair1m", "scene_classification/aid",
    "scene_classification/eurosat", "scene_classification/fmow_s2", "scene_classification/resisc45",
}  # fmt: skip


def digest(task: Task, card: DatasetCard, tuned: bool) -> str:
    def plain(recipe: Recipe) -> dict[str, Any]:
        values = dataclasses.asdict(recipe)
        later = {n for n in LATER if values[n] == getattr(Recipe, n)}
        return {n: v for n, v in values.items() if n != "source" and n not in later}

    found = [
        [name, demo, [plain(r) for r in task.recipes(card, name, demo)]]
        for name in sorted(task.protocols)
        if task.protocol(name).trains_backbone == tuned
        for demo in (False, True)
    ]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]


def test_the_recipes_without_fine_tuning_are_those_of_earlier_records() -> None:
    assert {n: digest(*pair, False) for n, pair in zip(NAMES, PAIRS, strict=True)} == FROZEN


def test_the_fine_tuning_recipes_are_those_of_earlier_records() -> None:
    assert {n: digest(*pair, True) for n, pair in zip(NAMES, PAIRS, strict=True)} == FINETUNED


@every_pair
def test_every_recipe_can_be_meant(task: Task, card: DatasetCard) -> None:
    for protocol in task.protocols:
        for demo in (False, True):
            made = task.recipes(card, protocol, demo)
            assert len({r.label for r in made}) == len(made)
            for recipe in made:
                assert recipe.protocol == protocol
                assert {recipe.train, recipe.test} <= {*card.splits}
                assert recipe.schedule in WORDS["schedule"]
                assert recipe.precision in WORDS["precision"]
                apply.check_augmentations(recipe.augment)


@every_pair
def test_every_fine_tuning_recipe_is_whole(task: Task, card: DatasetCard) -> None:
    for demo in (False, True):
        for recipe in task.recipes(card, "finetune", demo):
            assert bool(recipe.epochs) != bool(recipe.iterations)
            assert min(recipe.batch, recipe.lr, recipe.layer_decay, recipe.warm_up) > 0
            assert recipe.schedule
            assert recipe.augment
            assert recipe.source.startswith(tuple(f"{kind}: " for kind in recipe_text.KINDS))
            if demo:
                assert (recipe.drop_path, recipe.iterations, recipe.lr) == (0, 0, 1e-3)
                assert recipe.warm_up < 1
                assert recipe.epochs <= 12
                assert recipe.batch <= 8


def test_how_near_the_recipes_are_to_the_authors() -> None:
    kinds: dict[str, set[str]] = {kind: set() for kind in recipe_text.KINDS}
    for name, (task, card) in zip(NAMES, PAIRS, strict=True):
        (kind,) = {recipe_text.recipe_kind(r) for r in task.recipes(card, "finetune", False)}
        kinds[kind].add(name)
    assert kinds["official"] == {*OFFICIAL}
    assert kinds["seen substitute"] == SUBSTITUTE
    ours = {*NAMES} - {*OFFICIAL} - SUBSTITUTE
    assert ours == kinds["ours"] == {n for n in NAMES if n.endswith(("folder", "ben_s2", "ben_mm"))}


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_numbers(name: str) -> None:
    task, card = PAIRS[NAMES.index(name)]
    (recipe,) = task.recipes(card, "finetune", False)
    assert {field: getattr(recipe, field) for field in OFFICIAL[name]} == OFFICIAL[name]
    assert recipe.size or card.tile == 896


@pytest.mark.parametrize(
    ("name", "steps", "samples"),  # an epoch in MTP's logs; DIOR-R: 12 epochs of trainval
    [
        ("change_detection/levir_cd", 223, 7120), ("change_detection/oscd", 26, 827),
        ("scene_classification/resisc45", 99, 6300), ("oriented_detection/dior_r", 2932, 11725),
    ],
)  # fmt: skip
def test_batches_are_those_of_the_logs(name: str, steps: int, samples: int) -> None:
    task, card = PAIRS[NAMES.index(name)]
    *_, recipe = task.recipes(card, "finetune", False)
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
