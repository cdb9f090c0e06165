"""Recipes as text: the meaning of their fields, how close they are to the authors'; no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from skybench.core import DatasetCard, Recipe, Task, UsageError, registry
from skybench.plan.protocols import every_task, finetuning_protocol

Row = dict[str, Any]

KINDS: Mapping[str, str] = {
    "official": "SkySense's own configuration, seen in the file that is named",
    "seen substitute": "SkySense's own is not public; a complete one that was seen stands in",
    "ours": "no published one was seen; it speaks for nobody else",
}
MEANING: Mapping[str, str] = {
    "protocol": "how the model is used",
    "train": "the split that is learned from",
    "val": "the split that choices are made on",
    "test": "the split that is scored",
    "label": "the column of the table",
    "size": "side of the finest sensor's images in pixels",
    "tile": "side of the tiles that are read, in pixels",
    "epochs": "passes over the training split",
    "iterations": "steps; they count instead of epochs unless 0",
    "min_steps": "steps that epochs are repeated up to, for small training splits",
    "batch": "samples of a step, over all devices together",
    "lr": "highest learning rate, the head's",
    "weight_decay": "of AdamW; none on biases, norms and positions",
    "schedule": "how the learning rate goes",
    "warm_up": "steps, or below 1 their share, in which the rate rises",
    "layer_decay": "factor on the rate from block to block towards the stem; 1: none; 0: the "
    "whole backbone at a tenth of the head's rate",
    "drop_path": "share of samples that the last block is left out for; less in earlier ones",
    "precision": "of a step's forward pass",
    "validate": "epochs between scores on validation whose best state counts; 0: the last counts",
    "patience": "such scores without a better one, after which training stops; 0: it does not",
    "augment": "done to training images, in this order",
    "views": "how test images are shown, where not once and whole",
    "width": "channels of a dense head",
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
    "sensors": "all that match",
    "min_steps": "none",
}


def recipe_kind(recipe: Recipe) -> str:
    """Return how close a recipe is to the authors', a key of KINDS; "ours" if not stated."""
    word = recipe.source.partition(": ")[0]
    return word if word in KINDS else "ours"


def training_length(recipe: Recipe) -> str:
    """Return the length of training as text."""
    if recipe.iterations:
        return f"{recipe.iterations:,} steps"
    least = f", at least {recipe.min_steps:,} steps" if recipe.min_steps else ""
    return f"{recipe.epochs} epochs{least}" if recipe.epochs else "until it has converged"


def schedule_text(recipe: Recipe) -> str:
    """Return the learning-rate schedule as text.

    >>> schedule_text(Recipe("finetune", schedule="poly", warm_up=1500))
    'rises over the first 1,500 steps, then falls in a straight line to 0'
    """
    shapes = {
        "poly": "falls in a straight line to 0",
        "cosine": "falls along half a cosine to 0",
        "step": "stays, a tenth after 8/12 of all steps and again after 11/12",
    }
    if not recipe.schedule:
        return EMPTY["schedule"]
    warm = recipe.warm_up
    rise = f"the first {warm:,.0f} steps" if warm >= 1 else f"{100 * warm:.3g} % of the steps"
    return (f"rises over {rise}, then " if warm else "") + shapes[recipe.schedule]


def find_recipe(name: str) -> tuple[Task, DatasetCard, str]:
    """Resolve DATASET:PROTOCOL or TASK/DATASET:PROTOCOL.

    Raises UsageError with the nearest names, and where a task must be given.
    """
    place, _, asked = name.partition(":")
    first, _, last = place.rpartition("/")
    card = registry.dataset(last).CARD
    known = [t for t in registry.names("tasks") if t in card.tasks]
    chosen = [registry.resolve("tasks", first)] if first else known
    if chosen[0] not in known:
        raise UsageError(registry.unknown(f"task of {card.name}", first, known))
    if len(chosen) > 1:
        ways = " or ".join(f"{t}/{card.name}:{asked}" for t in chosen)
        raise UsageError(f"{card.name} is in several tasks; give {ways}.")
    task = registry.task(chosen[0])
    protocol = asked.strip().lower()
    if protocol not in task.protocols:
        what = f"protocol of {task.name}"
        raise UsageError(registry.unknown(what, asked, [*task.protocols]))
    return task, card, protocol


def recipe_facts(name: str) -> Row:
    """Return every field of the named recipes with its meaning, as text."""
    task, card, protocol = find_recipe(name)
    every = task.recipes(card, protocol, False)
    named = ("protocol", "label", "source")
    fields = [f.name for f in dataclasses.fields(Recipe) if f.name not in named]
    return {
        "kind": "recipe",
        "name": f"{task.name}/{card.name}:{protocol}",
        "task": task.title,
        "dataset": card.title,
        "head": task.protocol(protocol).text,
        "metric": card.metric,
        "columns": ", ".join(r.label for r in every) or "one, without a label",
        **{f: f"{_values(f, every)} ({MEANING[f]})" for f in fields},
        "nearness": f"{recipe_kind(every[0])}: {KINDS[recipe_kind(every[0])]}",
        "source": _values("source", every),
    }


def _values(field: str, every: Sequence[Recipe]) -> str:
    """A field's value, or the value for each column where they differ."""
    texts = [_value(field, r) for r in every]
    if len({*texts}) == 1:
        return texts[0]
    return "; ".join(f"{r.label}: {text}" for r, text in zip(every, texts, strict=True))


def _value(field: str, recipe: Recipe) -> str:
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


def recipe_rows() -> list[Row]:
    """Return the fine-tuning recipes, a row for each column of a dataset's tables."""
    return [
        {
            "name": f"{_place(task, card)}:{protocol.name}",
            "task": task.name, "dataset": card.name, "column": recipe.label,
            "source": recipe_kind(recipe), "length": training_length(recipe), "batch": recipe.batch,
            "lr": recipe.lr, "tile": recipe.tile or card.tile or "none",
            "size": recipe.size or "as read",
        }
        for task, card in task_datasets() if (protocol := finetuning_protocol(task))
        for recipe in task.recipes(card, protocol.name, False)
    ]  # fmt: skip


def _place(task: Task, card: DatasetCard) -> str:
    """A dataset's name, with the task where it has several."""
    return card.name if len(card.tasks) == 1 else f"{task.name}/{card.name}"
