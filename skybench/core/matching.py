"""Pairs a model's inputs with a data set's sensors."""

from __future__ import annotations

from collections.abc import Sequence

from skybench.core.cards import ModelCard
from skybench.core.errors import CannotRun
from skybench.core.sensors import CONVERT, Found, Sensor


def match(card: ModelCard, given: Sequence[Sensor]) -> dict[str, Found]:
    """Pairs a model's inputs with a dataset's sensors: by name; only if no name fits, by bands.

    Where a dataset has several of a role ("s1a", "s1d"), an input "s1" gets the first. Inputs of
    one role ("s2", "s2_rgb") are alternatives: the first whose bands are there is taken.
    Raises CannotRun when no input has all its bands in one sensor, or the units do not convert.
    """
    pairs = [(want, has) for want in card.inputs for has in given if {*want.bands} <= {*has.bands}]
    named: dict[str, tuple[Sensor, Sensor]] = {}
    for want, has in pairs:
        role = want.name.partition("_")[0]
        if role in (has.name, has.name[:-1]):
            named.setdefault(role, (want, has))
    pairs = list(named.values()) or pairs[:1]
    if not pairs:
        needs = " or ".join(f"{w.name} ({_few(w.bands)})" for w in card.inputs)
        there = "; ".join(f"{h.name} ({_few(h.bands)})" for h in given) or "no sensor"
        raise CannotRun(f"{card.name} needs {needs}; the dataset has {there}")
    found = {}
    for want, has in pairs:
        if (has.unit, want.unit) not in CONVERT:
            raise CannotRun(
                f"{card.name} reads {want.name} in {want.unit!r}, the dataset gives {has.unit!r}, "
                "and no conversion is known"
            )
        channels = tuple(has.bands.index(b) for b in want.bands)
        found[want.name] = Found(has.name, channels, CONVERT[has.unit, want.unit])
    return found


def _few(bands: Sequence[str]) -> str:
    """Bands for a message: four at most, else how many."""
    return ", ".join(bands) if len(bands) <= 4 else f"{len(bands)} bands"
