"""Recipes by name: `--recipe aid:rvsa` of a data set, `--recipe frozen:pangaea` of a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from skybench.core import DatasetCard, Recipe, SourcedRecipe, Task, UsageError, registry
from skybench.plan.protocols import every_task, protocol_names


class AskedRecipe(NamedTuple):
    """A recipe as a user names it."""

    task: str  # "": any
    dataset: str  # "": any, where `protocol` is given
    protocol: str
    name: str

    def fits(self, task: Task, card: DatasetCard) -> bool:
        """Whether it is meant for a data set under a task."""
        return self.task in ("", task.name) and self.dataset in ("", card.name)


def parse_asked(text: str) -> AskedRecipe:
    """Parse DATASET:NAME, TASK/DATASET:NAME or PROTOCOL:NAME. Raises UsageError.

    >>> parse_asked("aid:rvsa").dataset, parse_asked("frozen:pangaea").protocol
    ('aid', 'frozen')
    """
    place, _, name = text.partition(":")
    if not place.strip() or not name.strip():
        raise UsageError(
            f"Expected a recipe as DATASET:NAME or PROTOCOL:NAME, but got {text!r}; "
            "`skybench list recipes` has the names."
        )
    name = name.strip().lower()
    first, _, last = place.rpartition("/")
    if not first and place.strip().lower() in protocol_names(every_task()):
        return AskedRecipe("", "", place.strip().lower(), name)
    task = registry.resolve("tasks", first) if first else ""
    return AskedRecipe(task, registry.resolve("datasets", last), "", name)


def recipes_of(task: Task, card: DatasetCard) -> tuple[SourcedRecipe, ...]:
    """Return the named recipes of a data set under a task; those of the task come last."""
    own = card.setup(task.name).sourced
    known = {s.name for s in own}
    return (*own, *(s for s in task.sourced if s.name not in known))


def with_recipe(card: DatasetCard, task: Task, chosen: SourcedRecipe) -> DatasetCard:
    """Return the card on which a named recipe is the one of its protocol."""
    setup = card.setup(task.name)
    others = (s for s in setup.sourced if s is not chosen)
    return replace(
        card, setups={**card.setups, task.name: replace(setup, sourced=(chosen, *others))}
    )


def _find(asked: AskedRecipe, task: Task, card: DatasetCard) -> SourcedRecipe | None:
    return next(
        (
            s for s in recipes_of(task, card)
            if s.name == asked.name and asked.protocol in ("", s.recipe.protocol)
        ),
        None,
    )  # fmt: skip


def check_asked(texts: Iterable[str], tasks: Sequence[Task]) -> None:
    """Raise UsageError for a recipe that no data set of these tasks has, with the nearest."""
    cards = [registry.dataset(n).CARD for n in registry.names("datasets")]
    for text in texts:
        asked = parse_asked(text)
        pairs = [(t, c) for t in tasks for c in cards if t.name in c.tasks and asked.fits(t, c)]
        if not any(_find(asked, task, card) for task, card in pairs):
            wanted = asked.protocol
            known = [
                s.name for t, c in pairs for s in recipes_of(t, c)
                if wanted in ("", s.recipe.protocol)
            ]  # fmt: skip
            where = f"recipe of {asked.dataset or wanted}"
            names = sorted({*known}) or ["none by name"]
            raise UsageError(registry.unknown(where, asked.name, names))


def asked_datasets(texts: Iterable[str]) -> list[str]:
    """Return the data sets that recipes are asked for; [] where one is for any data set."""
    found = [asked.dataset for asked in map(parse_asked, texts)]
    return [*dict.fromkeys(found)] if all(found) else []


def planned_recipes(
    texts: Sequence[str], task: Task, card: DatasetCard, protocol: str, demo: bool
) -> Iterator[Recipe]:
    """Yield the recipes of a data set under a task, one for each column.

    Those asked for by name, else the usual one of the protocol; nothing where one was asked for
    that only others have: another task of the data set, or other tasks with the protocol.
    """
    asked = [*map(parse_asked, texts)]
    meant = [a for a in asked if a.fits(task, card)]
    for one in meant:
        if (sourced := _find(one, task, card)) is not None:
            there = with_recipe(card, task, sourced)
            yield from task.recipes(there, sourced.recipe.protocol, demo)
    if not meant and all(a.dataset != card.name for a in asked):
        yield from usual_recipes(task, card, protocol, demo)


def usual_recipes(task: Task, card: DatasetCard, protocol: str, demo: bool) -> tuple[Recipe, ...]:
    """Return the task's recipes; of a protocol that it does not have it need not know any."""
    if protocol in task.protocols:
        return task.recipes(card, protocol, demo)
    try:
        return task.recipes(card, protocol, demo)
    except Exception:  # a plugin may refuse in any way; the cell says that it cannot run
        return (Recipe(protocol),)
