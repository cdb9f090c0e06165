"""What a recipe leaves out as void does nothing to what the reader gives; what it has does."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from skybench.augment import apply
from skybench.core import DatasetCard, DatasetPlugin, Sample, SourcedRecipe, Task, registry
from skybench.core.dataset import Samples
from skybench.data.demo_folder import demo_root
from skybench.plan import named_recipes, recipe_text

SOURCED = {
    f"{task.name}/{card.name}:{chosen.name}": (task, card, chosen)
    for task, card in recipe_text.task_datasets()
    if not card.user_data
    for chosen in card.setup(task.name).sourced
}
DRAWS = 24  # a step that is drawn once in four shows in one of them but for a chance of 1e-3


def every_column(task: Task, card: DatasetCard, chosen: SourcedRecipe) -> list[Samples]:
    """The simulated training images, read with the options of each column of a recipe."""
    protocol = chosen.recipe.protocol
    (small, *_) = task.recipes(card, protocol, True)
    there = named_recipes.with_recipe(card, task, chosen)
    plugin = cast(DatasetPlugin, registry.load("datasets", card.name))
    root = demo_root(card.name)
    return [
        plugin.open(root, small.train, small.tile, **dict(o.split("=", 1) for o in options))
        for options in {r.options for r in task.recipes(there, protocol, False)}
    ]


def shows(step: str, sample: Sample, card: DatasetCard) -> bool:
    """Whether an augmentation changes the images in any of some draws."""
    for draw in range(DRAWS):
        made = apply.augment(sample, (step,), card, (0, draw, 0))
        if any(not torch.equal(x, sample.images[n]) for n, x in made.images.items()):
            return True
    return False


@pytest.mark.parametrize(("task", "card", "chosen"), SOURCED.values(), ids=[*SOURCED])
def test_the_steps_of_a_recipe_apply_and_its_void_ones_do_not(
    task: Task, card: DatasetCard, chosen: SourcedRecipe
) -> None:
    assert not {*chosen.void} & {*chosen.recipe.augment}
    for samples in every_column(task, card, chosen):
        sample, seen = samples.read(0), samples.card
        assert apply.effective_augmentations(chosen.void, seen) == ()
        assert [step for step in chosen.void if shows(step, sample, seen)] == []
        steps = chosen.recipe.augment
        assert len(apply.effective_augmentations(steps, seen)) == len(steps)
        assert [step for step in steps if not shows(step, sample, seen)] == []


def test_a_step_that_would_show_is_not_void() -> None:
    """Photometric on bytes, which OSCD's reader gives by default and does not for 13 bands."""
    oscd = cast(DatasetPlugin, registry.load("datasets", "oscd"))
    for bands, applies in (("rgb", True), ("13", False)):
        samples = oscd.open(demo_root("oscd"), "train", 0, bands=bands)
        assert bool(apply.effective_augmentations(("photometric",), samples.card)) == applies
        assert shows("photometric", samples.read(0), samples.card) == applies


def test_some_recipes_are_checked() -> None:
    assert len(SOURCED) >= 17
    assert any(chosen.void for *_, chosen in SOURCED.values())
