"""The heads, losses and settings of training of each task; see skybench.training.recipe_check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from skybench.core import Recipe, Task, UsageError, registry
from skybench.heads import bit, decoders
from skybench.heads.dense import Dense

TASKS = {name: registry.task(name) for name in registry.names("tasks")}
CARDS = {name: registry.dataset(name).CARD for name in registry.names("datasets")}
FPN, PAIRS = {"head": "fpn"}, {"head": "bit"}


def check(task: str, dataset: str, protocol: str, settings: dict[str, Any]) -> None:
    found = TASKS[task].check
    assert found is not None
    found(Recipe(protocol, **settings), CARDS[dataset])


@pytest.mark.parametrize(("task", "dataset", "protocol", "settings"), [
    ("semantic_segmentation", "isaid", "finetune", {"loss": "all-pixels", "smoothing": 0.1}),
    ("semantic_segmentation", "potsdam", "frozen", FPN),
    ("semantic_segmentation", "potsdam", "frozen", {"head": "linear", "augment": ("flip",)}),
    ("multimodal_segmentation", "pastis_mm", "linear", {"head": "linear"}),
    ("change_detection", "levir_cd", "finetune", PAIRS),
    ("change_detection", "oscd", "frozen", {"head": "unet-mtp", "loss": "all-pixels"}),
    ("change_detection", "dyna_s2", "finetune", FPN),
    ("scene_classification", "aid", "finetune", {"mixup": 0.8, "cutmix": 1.0, "smoothing": 0.1}),
    ("scene_classification", "ben_s2", "finetune", {"mixup": 0.8, "loss": "softmargin"}),
    ("scene_classification", "ben_s2", "finetune", {"test_crop": 0.875, "dropout": 0.2}),
    ("horizontal_detection", "dior", "frozen", {"augment": ("flip",), "optimizer": "sgd=0.9"}),
])  # fmt: skip
def test_settings_that_a_task_has_are_accepted(
    task: str, dataset: str, protocol: str, settings: dict[str, Any]
) -> None:
    check(task, dataset, protocol, settings)


@pytest.mark.parametrize(("task", "dataset", "protocol", "settings", "message"), [
    ("semantic_segmentation", "isaid", "finetune", PAIRS, "Known: upernet, fpn, linear"),
    ("semantic_segmentation", "isaid", "linear", FPN, "Known: linear. Asked for linear segm"),
    ("semantic_segmentation", "isaid", "finetune", {"mixup": 0.8}, "has no mixup"),
    ("semantic_segmentation", "isaid", "finetune", {"test_crop": 0.8}, "no crops of test images"),
    ("semantic_segmentation", "isaid", "finetune", {"loss": "softmargin"}, "Known: all-pixels"),
    ("change_detection", "levir_cd", "finetune", FPN, "Known: unet, unet-mtp, bit, linear"),
    ("change_detection", "dyna_s2", "finetune", PAIRS, "finetune semantic change detection"),
    ("scene_classification", "aid", "finetune", {"loss": "softmargin"}, "Known: none"),
    ("scene_classification", "aid", "frozen", {"augment": ("flip",)}, "has no augmentation"),
    ("scene_classification", "aid", "knn", {"test_crop": 0.875}, "no crops of test images"),
    ("scene_classification", "ben_s2", "finetune", {"smoothing": 0.1}, "has no label smoothing"),
    ("horizontal_detection", "dior", "finetune", {"cutmix": 1.0}, "has no CutMix"),
    ("oriented_detection", "dior_r", "finetune", FPN, "Known: none"),
])  # fmt: skip
def test_settings_that_a_task_has_not_are_refused(
    task: str, dataset: str, protocol: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check(task, dataset, protocol, settings)
    model = registry.model("imagenet").CARD
    with pytest.raises(UsageError, match=message):  # from Python too
        TASKS[task].head(Recipe(protocol, **settings), model, CARDS[dataset])


@pytest.mark.parametrize(("task", "dataset", "name", "kind"), [
    ("semantic_segmentation", "isaid", "", decoders.UPerNet),
    ("semantic_segmentation", "isaid", "upernet", decoders.UPerNet),
    ("semantic_segmentation", "isaid", "fpn", decoders.FPN),
    ("semantic_segmentation", "isaid", "linear", decoders.Linear),
    ("change_detection", "levir_cd", "", decoders.UNet),
    ("change_detection", "levir_cd", "unet", decoders.UNet),
    ("change_detection", "levir_cd", "unet-mtp", decoders.MTPUNet),
    ("change_detection", "levir_cd", "bit", bit.BIT),
    ("change_detection", "dyna_s2", "", decoders.UPerNet),
])  # fmt: skip
def test_heads_are_those_of_their_names(task: str, dataset: str, name: str, kind: Any) -> None:
    recipe = Recipe("frozen", head=name, width=8)
    head = TASKS[task].head(recipe, registry.model("imagenet").CARD, CARDS[dataset])
    assert isinstance(head, Dense)
    body = head.build(((4, 4), (4, 8)), 2, 8)
    assert isinstance(getattr(body, "head", body), kind)


@pytest.mark.parametrize("task", TASKS.values(), ids=[*TASKS])
def test_every_recipe_of_every_data_set_has_settings_that_its_task_has(task: Task) -> None:
    assert task.check is not None
    for card in CARDS.values():
        if task.name in card.tasks:
            named = [s.stated() for s in (*card.setup(task.name).sourced, *task.sourced)]
            usual = [r for protocol in task.protocols for r in task.recipes(card, protocol, False)]
            for recipe in (*named, *usual):
                task.check(recipe, card)
                for rate in recipe.rates:
                    task.check(replace(recipe, lr=float(rate)), card)
