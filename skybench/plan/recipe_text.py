"""Recipes as text: the meaning of their fields, how close they are to the authors'; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skybench.core import DatasetCard, Recipe, Task, registry
from skybench.core.sourced_recipe import ASPECTS, KINDS
from skybench.plan.protocols import every_task

Row = dict[str, Any]

FORMER_KINDS = {"seen substitute": "substitute"}  # in records of former versions
ASPECT_OF = {name: aspect for aspect, names in ASPECTS.items() for name in names}

MEANING: Mapping[str, str] = {
    "protocol": "how the model is used",
    "name": "of the recipe, where a dataset has several",
    "train": "the split that is learned from",
    "val": "the split that choices are made on",
    "test": "the split that is scored",
    "label": "the column of the table",
    "size": "side of the finest sensor's images in pixels",
    "tile": "side of the tiles that are read, in pixels",
    "epochs": "passes over the training split",
    "iterations": "steps; they count instead of epochs unless 0",
    "min_steps": "steps that epochs are repeated up to, for small training splits",
    "max_steps": "steps after which training with epochs ends",
    "batch": "samples of a step, over all devices together",
    "lr": "highest learning rate, the head's",
    "rates": "rates of which one is chosen on held-out training data",
    "optimizer": "of the training",
    "weight_decay": "none on biases, norms and positions",
    "clip": "largest norm of the gradient",
    "schedule": "how the learning rate goes",
    "warm_up": "steps, or below 1 their share, in which the rate rises",
    "layer_decay": "factor on the rate from block to block towards the stem; 1: none; 0: the "
    "whole backbone at a tenth of the head's rate",
    "drop_path": "share of samples that the last block is left out for; less in earlier ones",
    "precision": "of a forward pass",
    "rounding": "how feature maps of a frozen backbone are rounded",
    "validate": "epochs between scores on validation; 0: there are none",
    "state": "the weights that are scored",
    "patience": "such scores without a better one, after which training stops; 0: it does not",
    "augment": "done to training images, in this order",
    "mixup": "alpha of mixup in a batch; 0: none",
    "cutmix": "alpha of CutMix in a batch; 0: none",
    "views": "how test images are shown, where not once and whole",
    "test_crop": "side of the centre of a test image that is seen",
    "head": "on the features",
    "width": "channels of a dense head",
    "dropout": "before the classifier",
    "loss": "of a step",
    "smoothing": "label smoothing of the cross-entropy",
    "sensors": "of the dataset's that the model is given",
    "options": "of the dataset",
    "fraction": "share of the training split",
    "limit": "samples of each split at most; 0: all",
    "seeds": "runs",
    "source": "where it comes from",
}
EMPTY: Mapping[str, str] = {
    "val": "none",
    "size": "as read",
    "tile": "the official side",
    "schedule": "the head's own",
    "precision": "float32",
    "rounding": "to float16",
    "sensors": "all that match",
    "min_steps": "none",
    "max_steps": "none",
    "rates": "none: lr",
    "optimizer": "AdamW",
    "clip": "none",
    "test_crop": "whole",
    "head": "the task's usual one",
    "loss": "the head's usual one",
}


def recipe_kind(recipe: Recipe) -> str:
    """Return how close a recipe is to the authors', a key of KINDS; "ours" if not stated."""
    word = recipe.source.partition(": ")[0]
    word = FORMER_KINDS.get(word, word)
    return word if word in KINDS else "ours"


def training_length(recipe: Recipe) -> str:
    """Return the length of training as text."""
    if recipe.iterations:
        return f"{recipe.iterations:,} steps"
    least = f", at least {recipe.min_steps:,} steps" if recipe.min_steps else ""
    most = f", at most {recipe.max_steps:,} steps" if recipe.max_steps else ""
    return f"{recipe.epochs} epochs{least}{most}" if recipe.epochs else "until it has converged"


def schedule_text(recipe: Recipe) -> str:
    """Return the learning-rate schedule as text.

    >>> schedule_text(Recipe("finetune", schedule="poly", warm_up=1500))
    'rises over the first 1,500 steps, then falls in a straight line to 0'
    """
    if not recipe.schedule:
        return EMPTY["schedule"]
    kind, _, values = recipe.schedule.partition("=")
    shapes = {
        "poly": "falls in a straight line to 0",
        "linear": "falls from there in a straight line to 0",
        "cosine": f"falls along half a cosine to {values or 0}",
        "step": "stays, a tenth after 8/12 of all steps and again after 11/12",
        "multistep": f"stays, a tenth after each of {values.replace(',', ' and ')} of all steps",
        "exponential": f"is multiplied by {values} after each epoch",
    }
    warm = recipe.warm_up
    rise = f"the first {warm:,.0f} steps" if warm >= 1 else f"{100 * warm:.3g} % of the steps"
    return (f"rises over {rise}, then " if warm else "") + shapes[kind]


def aspect_value(recipe: Recipe, aspect: str) -> str:
    """Return what a recipe has for one of ASPECTS, as a short text; "" for those without fields.

    >>> aspect_value(Recipe("finetune", train="train", val="", test="val"), "split")
    'train, none, val, none'
    """
    if aspect == "length":
        return training_length(recipe)
    if aspect == "state":
        return recipe.counting
    names = ASPECTS[aspect]
    if aspect == "split":
        return ", ".join(value_text(name, recipe) for name in names)
    more = [n for n in names[1:] if getattr(recipe, n) not in ("", 0, 0.0, ())]
    texts = [value_text(name, recipe) for name in names[:1]]
    return ", ".join([*texts, *(f"{name} {value_text(name, recipe)}" for name in more)])


def values_text(field: str, every: Sequence[Recipe]) -> str:
    """Return the value of a field as text, or the value for each column where they differ."""
    texts = [value_text(field, r) for r in every]
    if len({*texts}) == 1:
        return texts[0]
    return "; ".join(f"{r.label}: {text}" for r, text in zip(every, texts, strict=True))


def value_text(field: str, recipe: Recipe) -> str:
    """Return the value of a field as text."""
    value = getattr(recipe, field)
    if field == "schedule" and value:
        return f"{value}: {schedule_text(recipe)}"
    if isinstance(value, tuple):
        value = " ".join(value)
    if not value and field in EMPTY:
        return EMPTY[field]
    if value == "":
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def task_datasets() -> list[tuple[Task, DatasetCard]]:
    """Return every task with each of its datasets."""
    cards = [registry.dataset(n).CARD for n in registry.names("datasets")]
    return [(task, card) for task in every_task() for card in cards if task.name in card.tasks]
