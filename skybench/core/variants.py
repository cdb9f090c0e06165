"""The variants of a model: published networks, reduced ones, and which is meant."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any

from skybench.core import registry
from skybench.core.cards import ModelCard
from skybench.core.errors import CannotRun, UsageError
from skybench.core.matching import match
from skybench.core.sensors import Found, Sensor


def meant(plugin: Any, asked: str) -> tuple[str, ...]:
    """The variants that a name stands for, the preferred first; mostly the one of that name.

    A plugin's `PICK` says which of its variants "full" and "tiny" mean, one for each sensor.
    Raises UsageError for a name that the model does not have.
    """
    picks: dict[str, tuple[str, ...]] = getattr(plugin, "PICK", {})
    if asked in picks:
        return picks[asked]
    if asked in plugin.VARIANTS:
        return (asked,)
    known = ", ".join(dict.fromkeys((*picks, *plugin.VARIANTS)))
    raise UsageError(f"No variant {asked!r} of {plugin.CARD.name}. Known: {known}.")


def card(plugin: Any, variant: str, **arch: Any) -> ModelCard:
    """The card of one variant, as `meant` gives them; `arch` overrides settings of the network."""
    found: ModelCard = plugin.card(variant, **arch) if hasattr(plugin, "card") else plugin.CARD
    return found


def settings(plugin: Any, variant: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Those of the settings asked for that a variant's network has, as values of their kind.

    A tuple is given with commas. Raises UsageError for a value that is not of the kind.
    """
    arch = plugin.VARIANTS[variant]
    has = {f.name: getattr(arch, f.name) for f in fields(arch)} if is_dataclass(arch) else {}
    return {n: _value(n, text, has[n]) for n, text in asked.items() if n in has}


def _value(name: str, text: str, usual: Any) -> Any:
    if isinstance(usual, tuple):
        kind = type(usual[0]) if usual else str
        return tuple(_value(name, part, kind()) for part in text.split(","))
    if isinstance(usual, bool):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif isinstance(usual, int | float | str):
        with contextlib.suppress(ValueError):
            return type(usual)(text)
    raise UsageError(f"Expected {name} to be like {usual!r}, but got {text!r}.")


def published(plugin: Any) -> dict[str, ModelCard]:
    """The variants that a file was published for, or whose weights were withheld, with cards."""
    cards = {v: card(plugin, v) for v in plugin.VARIANTS}
    return {v: c for v, c in cards.items() if c.weights and v in c.weights.variants}


def choose(
    plugin: Any, asked: str, given: Sequence[Sensor], arch: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ModelCard]:
    """The variant that a dataset's sensors suit best, and its card.

    Best is one that finds its inputs under their names and in units that convert exactly.
    Raises CannotRun when none can read the dataset, UsageError for an unknown variant.
    """
    names = meant(plugin, asked)
    cards = {name: card(plugin, name, **settings(plugin, name, arch)) for name in names}
    if len(names) == 1:
        return names[0], cards[names[0]]
    ranks, reasons = {}, []
    for name in names:
        try:
            ranks[name] = _strained(match(cards[name], given))
        except CannotRun as error:
            reasons.append(str(error))
    if not ranks:
        raise CannotRun("; ".join(dict.fromkeys(reasons)))
    best = min(ranks, key=lambda name: ranks[name])  # the first of equals
    return best, cards[best]


def _strained(found: dict[str, Found]) -> int:
    """How far from what the model was made for: other sensors, units by convention."""
    roles = {name: name.partition("_")[0] for name in found}
    other = any(
        f.sensor not in (roles[name], f"{roles[name]}{f.sensor[-1]}") for name, f in found.items()
    )
    return other + any(not f.conversion.exact for f in found.values())


def variant_cards(name: str) -> dict[str, ModelCard]:
    """The published variants of a model with their cards; its one card where nothing is learned."""
    plugin = registry.load("baselines", name)
    return published(plugin) or {"full": plugin.CARD}
