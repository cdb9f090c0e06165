"""Former recipes: which records were made with a recipe that their data set no longer has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from skybench.core import (
    DatasetCard,
    Recipe,
    Record,
    SkybenchError,
    SourcedRecipe,
    Task,
    affects,
    registry,
)
from skybench.core.record import with_fields
from skybench.plan.named_recipes import recipes_of, with_recipe

FORMER = "former recipe"  # the flag of such a record
GIVEN = frozenset(("protocol", "fraction", "limit", "seeds", "sensors"))  # asked for in each run
OF_FOLDER = frozenset(("tile", "val"))  # what a user's own folder decides
# What changes with an overridden field: see `override_recipe`.
FOLLOWS = {
    "epochs": ("iterations", "min_steps", "max_steps"), "lr": ("rates",), "validate": ("state",),
    "patience": ("state",), "state": ("validate",),
}  # fmt: skip
# What every record of a run states; of one that does not, the recipe is not known.
STATED = frozenset(("train", "test", "epochs", "batch", "lr", "weight_decay"))
DEFAULTS = {
    f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING
}
# What was done before there was a field for it, where that is not the field's default.
BEFORE: Mapping[str, Mapping[str, Any]] = {
    "horizontal_detection": {"clip": 35.0}, "oriented_detection": {"clip": 35.0},
}  # fmt: skip

_Told = Mapping[str, Any]
_Known = Sequence[tuple[str, _Told]]  # (name, fields); the usual recipe of the protocol is ""


def with_recipes(records: Iterable[Record]) -> list[Record]:
    """Return records with the flag FORMER where no present recipe could have made them.

    `used["recipe_name"]` is the name of the present recipe that did, where that is not the usual
    one of its data set and protocol. Overridden fields are not compared. Records of plugins that
    are gone, or that do not state their recipe, are left as they are.
    """
    every = [*records]
    known: dict[tuple[str, ...], _Known] = {}
    verdicts: dict[tuple[Any, ...], _Verdict] = {}  # of records that share a recipe's object
    used: dict[tuple[int, str], dict[str, Any]] = {}  # with these names, shared likewise
    made = []
    for record in every:
        if FORMER in record.flags:  # judged before
            made.append(record)
            continue
        changed = tuple(record.used.get("overridden", ()))
        place = (record.task, record.dataset, record.data, id(record.recipe), changed)
        if place not in verdicts:
            verdicts[place] = _judge(record, known)
        verdict = verdicts[place]
        if verdict.former:
            record = with_fields(record, flags=[*record.flags, FORMER])
        made.append(_labelled(record, verdict.name, used))
    return made


class _Verdict(NamedTuple):
    """Whether a recipe is a former one, and its name where that is to be shown."""

    former: bool = False
    name: str = ""


def _judge(record: Record, known: dict[tuple[str, ...], _Known]) -> _Verdict:
    if not record.recipe.keys() >= STATED:
        return _Verdict()
    protocol = str(record.recipe["protocol"])
    place = (record.task, record.dataset, protocol, record.data)
    try:
        if place not in known:
            known[place] = _present(record, protocol)
        own = registry.dataset(record.dataset).CARD.user_data
    except SkybenchError:  # a plugin that is gone
        return _Verdict()
    if not known[place]:  # or its protocol
        return _Verdict()
    left_out = _left_out(record, own)
    told = _told(whole_recipe(record), left_out)
    fits = [name for name, fields in known[place] if _without(fields, left_out) == told]
    stated = str(record.recipe.get("name", ""))
    if fits:
        return _Verdict(name=stated if stated in fits else fits[0])
    return _Verdict(True, stated if stated in dict(known[place]) else "")


def whole_recipe(record: Record) -> dict[str, Any]:
    """Return all fields of a record's recipe, those too that came after the record.

    Only the fields that it states where these are not STATED.
    """
    if not record.recipe.keys() >= STATED:
        return dict(record.recipe)
    return {**DEFAULTS, **BEFORE.get(record.task, {}), **record.recipe}


def _present(record: Record, protocol: str) -> _Known:
    """Every present recipe of a record's protocol on its data set, in every column; or none."""
    task, card = registry.task(record.task), registry.dataset(record.dataset).CARD
    demo = record.data == "demo"
    if protocol not in task.protocols:
        return []
    named = [s for s in recipes_of(task, card) if s.recipe.protocol == protocol]
    usual = usual_sourced(task, card, protocol)
    others = ((s.name, with_recipe(card, task, s)) for s in named if s is not usual)
    cards = [("", card), *others]
    return [
        (name, _fields(recipe, own))
        for name, own in cards
        for recipe in _recipes(task, own, protocol, demo)
    ]


def usual_sourced(task: Task, card: DatasetCard, protocol: str) -> SourcedRecipe | None:
    """Return the recipe that is meant without a name; None where that one has no name."""
    own = card.setup(task.name).sourced
    return next((s for s in own if s.recipe.protocol == protocol and s.usual), None)


def _recipes(task: Task, card: DatasetCard, protocol: str, demo: bool) -> Iterable[Recipe]:
    """The task's recipes, without validation where the data set has no such split."""
    for recipe in task.recipes(card, protocol, demo):
        validated = card.user_data or recipe.val in card.splits
        yield recipe if validated else replace(recipe, val="")


def _fields(recipe: Recipe, card: DatasetCard) -> _Told:
    return _told(dataclasses.asdict(recipe), OF_FOLDER if card.user_data else frozenset())


def _left_out(record: Record, own: bool) -> frozenset[str]:
    """The fields and options of a record's recipe that are not the recipe's; own: a folder."""
    changed = record.used.get("overridden", ())
    follow = (name for field in changed for name in FOLLOWS.get(field, ()))
    return GIVEN.union(changed, follow, OF_FOLDER if own else ())


def _told(recipe: _Told, left_out: frozenset[str]) -> _Told:
    """What affects a score, options by their names; without what is left out."""
    fields = {n: list(v) if isinstance(v, tuple) else v for n, v in affects(recipe).items()}
    options = dict(str(option).split("=", 1) for option in fields.pop("options", ()))
    return _without({**fields, **{f"option {n}": v for n, v in options.items()}}, left_out)


def _without(fields: _Told, left_out: frozenset[str]) -> _Told:
    return {n: v for n, v in fields.items() if n.removeprefix("option ") not in left_out}


def _labelled(record: Record, name: str, known: dict[tuple[int, str], dict[str, Any]]) -> Record:
    """The record with the name of its recipe; known: `used` by `id` and name, filled here."""
    if record.used.get("recipe_name", "") == name:
        return record
    key = (id(record.used), name)
    if key not in known:
        used = {n: v for n, v in record.used.items() if n != "recipe_name"}
        known[key] = {**used, **({"recipe_name": name} if name else {})}
    return with_fields(record, used=known[key])
