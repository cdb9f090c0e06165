"""The variants of a model: published networks, reduced ones, and which is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skybench.core import CannotRun, Found, ModelCard, Sensor, UsageError, match


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


def card(plugin: Any, variant: str) -> ModelCard:
    """The card of one variant, as `meant` gives them."""
    found: ModelCard = plugin.card(variant) if hasattr(plugin, "card") else plugin.CARD
    return found


def published(plugin: Any) -> dict[str, ModelCard]:
    """The variants that a file was published for, or whose weights were withheld, with cards."""
    cards = {v: card(plugin, v) for v in plugin.VARIANTS}
    return {v: c for v, c in cards.items() if c.weights and v in c.weights.variants}


def choose(plugin: Any, asked: str, given: Sequence[Sensor]) -> tuple[str, ModelCard]:
    """The variant that a dataset's sensors suit best, and its card.

    Best is one that finds its inputs under their names and in units that convert exactly.
    Raises CannotRun when none can read the dataset, UsageError for an unknown variant.
    """
    names = meant(plugin, asked)
    cards = {name: card(plugin, name) for name in names}
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
    other = any(f.sensor not in (name, f"{name}{f.sensor[-1]}") for name, f in found.items())
    return other + any(not f.conversion.exact for f in found.values())
