"""The variants of a model: which ones a name stands for, and which suits a dataset."""

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
from skybench.core.sensors import BandMapping, Sensor


def resolve_variants(plugin: Any, asked: str) -> tuple[str, ...]:
    """Return the variants that a name stands for, in order of preference.

    That is the variant of this name, or those that the plugin's `PICK` lists for "full" or "tiny".
    Raises UsageError for a name that the model does not have.
    """
    picks: dict[str, tuple[str, ...]] = getattr(plugin, "PICK", {})
    if asked in picks:
        return picks[asked]
    if asked in plugin.VARIANTS:
        return (asked,)
    known = ", ".join(dict.fromkeys((*picks, *plugin.VARIANTS)))
    raise UsageError(f"No variant {asked!r} of {plugin.CARD.name}. Known: {known}.")


def variant_card(plugin: Any, variant: str, **arch: Any) -> ModelCard:
    """Return the card of one variant; `arch` overrides settings of the network."""
    card: ModelCard = plugin.card(variant, **arch) if hasattr(plugin, "card") else plugin.CARD
    return card


def parse_settings(plugin: Any, variant: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """Convert network settings from text to the types of the variant's own settings.

    Settings that the variant lacks are left out. Elements of a tuple are separated by commas.
    Raises UsageError for a value of another type.
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


def published_variants(plugin: Any) -> dict[str, ModelCard]:
    """Return the cards of the variants that a checkpoint was trained for, public or withheld."""
    cards = {v: variant_card(plugin, v) for v in plugin.VARIANTS}
    return {v: c for v, c in cards.items() if c.weights and v in c.weights.variants}


def select_variant(
    plugin: Any,
    asked: str,
    sensors: Sequence[Sensor],
    arch: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, ModelCard]:
    """Return the variant that suits a dataset's sensors best, and its card.

    A variant suits better where inputs match sensors by name, and where units convert exactly.
    Raises CannotRun where no variant can read the dataset, UsageError for an unknown variant.
    """
    names = resolve_variants(plugin, asked)
    cards = {
        name: variant_card(plugin, name, **parse_settings(plugin, name, arch)) for name in names
    }
    if len(names) == 1:
        return names[0], cards[names[0]]
    ranks, reasons = {}, []
    for name in names:
        try:
            ranks[name] = _compromises(match(cards[name], sensors))
        except CannotRun as error:
            reasons.append(str(error))
    if not ranks:
        raise CannotRun("; ".join(dict.fromkeys(reasons)))
    best = min(ranks, key=lambda name: ranks[name])  # the first of equals
    return best, cards[best]


def _compromises(mapping: dict[str, BandMapping]) -> int:
    """Count the compromises of a match: sensors of other roles, units converted by convention."""
    roles = {name: name.partition("_")[0] for name in mapping}
    other = any(
        f.sensor not in (roles[name], f"{roles[name]}{f.sensor[-1]}") for name, f in mapping.items()
    )
    return other + any(not f.conversion.exact for f in mapping.values())


def published_cards(name: str) -> dict[str, ModelCard]:
    """Return the cards of a model's published variants; of "full" where it has no weights."""
    plugin = registry.model(name)
    return published_variants(plugin) or {"full": plugin.CARD}
