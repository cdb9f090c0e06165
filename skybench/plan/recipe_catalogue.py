"""The recipes that exist: looked up by name, listed, and shown field by field; no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from skybench.core import DatasetCard, Recipe, SourcedRecipe, Task, UsageError, registry
from skybench.core.recipe import TOLD
from skybench.core.sourced_recipe import ASPECTS, KINDS
from skybench.plan import named_recipes
from skybench.plan.protocols import every_task, finetuning_protocol
from skybench.plan.recipe_text import (
    ASPECT_OF,
    MEANING,
    Row,
    recipe_kind,
    task_datasets,
    training_length,
    values_text,
)


class FoundRecipe(NamedTuple):
    """A recipe that was looked up."""

    task: Task
    card: DatasetCard | None  # on which the recipe is the one of its protocol; None: on any
    protocol: str
    sourced: SourcedRecipe | None  # None: the data set has none by name for the protocol

    def every(self) -> tuple[Recipe, ...]:
        """Return the recipe for each column of real data."""
        if self.card is None:
            return (self.sourced.stated(),) if self.sourced else ()
        return self.task.recipes(self.card, self.protocol, False)


def find_recipe(name: str) -> FoundRecipe:
    """Resolve DATASET:PROTOCOL or DATASET:NAME, either with TASK/ before it, or PROTOCOL:NAME.

    Raises UsageError with the nearest names, and where a task must be given.
    """
    place, _, asked = name.partition(":")
    wanted = asked.strip().lower()
    for task in every_task():
        for sourced in task.sourced:
            if (sourced.recipe.protocol, sourced.name) == (place.strip().lower(), wanted):
                return FoundRecipe(task, None, sourced.recipe.protocol, sourced)
    first, _, last = place.rpartition("/")
    card = registry.dataset(last).CARD
    known = [t for t in registry.names("tasks") if t in card.tasks]
    chosen = [registry.resolve("tasks", first)] if first else known
    if chosen[0] not in known:
        raise UsageError(registry.unknown(f"task of {card.name}", first, known))
    tasks = [registry.task(t) for t in chosen]
    having = [t for t in tasks if wanted in (*t.protocols, *_names(t, card))]
    if len(having) > 1:
        ways = " or ".join(f"{t.name}/{card.name}:{asked}" for t in having)
        raise UsageError(f"{card.name} is in several tasks; give {ways}.")
    if not having:
        words = [n for t in tasks for n in (*t.protocols, *_names(t, card))]
        where = " and ".join(chosen)
        what = f"recipe of {card.name} or protocol of {where}"
        raise UsageError(registry.unknown(what, asked, [*dict.fromkeys(words)]))
    task = having[0]
    if wanted in task.protocols:
        own = (s for s in card.setup(task.name).sourced if s.recipe.protocol == wanted and s.usual)
        return FoundRecipe(task, card, wanted, next(own, None))
    sourced = next(s for s in named_recipes.recipes_of(task, card) if s.name == wanted)
    there = named_recipes.with_recipe(card, task, sourced)
    return FoundRecipe(task, there, sourced.recipe.protocol, sourced)


def _names(task: Task, card: DatasetCard) -> list[str]:
    return [s.name for s in named_recipes.recipes_of(task, card)]


def recipe_facts(name: str) -> Row:
    """Return every field of the named recipe with its meaning, source and verdict, as text."""
    task, card, protocol, sourced = found = find_recipe(name)
    every = found.every()
    fields = [f.name for f in dataclasses.fields(Recipe) if f.name not in TOLD]
    kind = sourced.kind if sourced else recipe_kind(every[0])
    # Another package's recipe without a name has its source in one line alone.
    said = sourced or (SourcedRecipe("", "ours", every[0]) if kind == "ours" else None)

    def values(field: str) -> str:
        if field == "head" and not every[0].head:
            return task.protocol(protocol).text
        return every[0].counting if field == "state" else values_text(field, every)

    where = f"{task.name}/{card.name}" if card else protocol
    return {
        "kind": "recipe",
        "name": f"{where}:{sourced.name if sourced else protocol}",
        "task": task.title,
        "dataset": card.title if card else "any of the task",
        "columns": ", ".join(r.label for r in every) or "one, without a label",
        "nearness": f"{kind}: {KINDS[kind]}",
        "source": values_text("source", every),
        "made with it": ", ".join(said.rows if said else ()) or "no published row that is known",
        **{f: f"{values(f)} ({MEANING[f]}){_evidence_of(f, said)}" for f in fields},
        "features": f"standardised before the head{evidence(said, 'features')}",
        "metric": f"{card.metric if card else 'of the dataset'}{evidence(said, 'metric')}",
    }


def _evidence_of(field: str, sourced: SourcedRecipe | None) -> str:
    """The evidence of a field's aspect, whose note stands at the first of its fields alone."""
    aspect = ASPECT_OF.get(field, "")
    return evidence(sourced, aspect, noted=field == (*ASPECTS.get(aspect, ()), "")[0])


def evidence(sourced: SourcedRecipe | None, aspect: str, noted: bool = True) -> str:
    """Return a line "verdict: place; note" on an aspect, "" for fields that no source would have.

    It begins with the end of the line before.
    """
    if not aspect or sourced is None:
        return ""
    verdict, place = sourced.verdict(aspect), sourced.place(aspect)
    words = ": ".join(filter(None, [verdict.verdict, place]))
    return "\n" + "; ".join(filter(None, [words, verdict.note if noted else ""]))


def recipe_rows() -> list[Row]:
    """Return the recipes by name of every dataset, then those for all datasets of a task."""
    rows = [row for task, card in task_datasets() for row in rows_of_dataset(task, card)]
    shared: dict[str, Row] = {}
    for task in every_task():
        for row in (_generic_row(task, s) for s in task.sourced):
            known = shared.setdefault(row["name"], row)
            known["task"] = ", ".join(dict.fromkeys([*known["task"].split(", "), row["task"]]))
    return [*rows, *shared.values()]


def rows_of_dataset(task: Task, card: DatasetCard) -> list[Row]:
    """Return the rows of a dataset under a task.

    Where it has none by name, its recipe of fine-tuning stands, under the protocol's name.
    """
    own, tuned = card.setup(task.name).sourced, finetuning_protocol(task)
    nameless = tuned and not any(s.recipe.protocol == tuned.name for s in own)
    rows = [_row(task, card, tuned.name, None)] if tuned and nameless else []
    return [*rows, *(_row(task, card, s.recipe.protocol, s) for s in own)]


def _row(task: Task, card: DatasetCard, protocol: str, sourced: SourcedRecipe | None) -> Row:
    there = named_recipes.with_recipe(card, task, sourced) if sourced else card
    every = task.recipes(there, protocol, False)
    own = (s for s in card.setup(task.name).sourced if s.recipe.protocol == protocol and s.usual)
    usual = next(own, None) is sourced
    place = _place(task, card)
    return {
        "name": f"{place}:{sourced.name if sourced else protocol}",
        "task": task.name, "dataset": card.name, "protocol": protocol,
        "usual": "yes" if usual else "",
        **_summary(every[0], sourced), "tile": every[0].tile or card.tile or "none",
        "columns": ", ".join(r.label for r in every),
    }  # fmt: skip


def brief_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of `recipe_rows` with what fits a terminal."""
    kept = ("name", "usual", "source", "made", "length", "batch", "lr", "size", "state", "columns")
    models = registry.names("baselines")
    short = [
        {**r, "made": ", ".join(n for n in r["made"].split(", ") if n in models)} for r in rows
    ]
    return [{name: row[name] for name in kept} for row in short]


def _generic_row(task: Task, sourced: SourcedRecipe) -> Row:
    recipe = sourced.stated()
    return {
        "name": f"{recipe.protocol}:{sourced.name}", "task": task.name, "dataset": "",
        "protocol": recipe.protocol, "usual": "", **_summary(recipe, sourced), "tile": "",
        "columns": "",
    }  # fmt: skip


def _summary(recipe: Recipe, sourced: SourcedRecipe | None) -> Row:
    unknown = [n for n in ASPECTS if sourced and sourced.verdict(n).verdict == "unknown"]
    return {
        "source": recipe_kind(recipe), "made": ", ".join(sourced.rows) if sourced else "",
        "length": training_length(recipe), "batch": recipe.batch, "lr": recipe.lr,
        "size": recipe.size or "as read", "state": recipe.counting,
        "unknown": ", ".join(unknown),
    }  # fmt: skip


def _place(task: Task, card: DatasetCard) -> str:
    """A dataset's name, with the task where it has several."""
    return card.name if len(card.tasks) == 1 else f"{task.name}/{card.name}"
