"""Matching of a model's inputs to a dataset's sensors."""

from __future__ import annotations

from collections.abc import Sequence

from skybench.core.cards import ModelCard
from skybench.core.errors import CannotRun
from skybench.core.sensors import CONVERT, BandMapping, Sensor


def match(card: ModelCard, sensors: Sequence[Sensor]) -> dict[str, BandMapping]:
    """Map a model's inputs to a dataset's sensors: by name, or by bands where no name fits.

    Where a dataset has several sensors of a role ("s1a", "s1d"), the input "s1" gets the first.
    Inputs of one role ("s2", "s2_rgb") are alternatives: the first whose bands exist is taken.
    Raises CannotRun when no input has all its bands in one sensor, or the units do not convert.
    """
    pairs = [
        (want, has) for want in card.inputs for has in sensors if {*want.bands} <= {*has.bands}
    ]
    named: dict[str, tuple[Sensor, Sensor]] = {}
    for want, has in pairs:
        role = want.name.partition("_")[0]
        if role in (has.name, has.name[:-1]):
            named.setdefault(role, (want, has))
    pairs = list(named.values()) or pairs[:1]
    if not pairs:
        needs = " or ".join(f"{w.name} ({_few(w.bands)})" for w in card.inputs)
        available = "; ".join(f"{h.name} ({_few(h.bands)})" for h in sensors) or "no sensor"
        raise CannotRun(f"{card.name} needs {needs}; the dataset has {available}")
    mapping = {}
    for want, has in pairs:
        if (has.unit, want.unit) not in CONVERT:
            raise CannotRun(
                f"{card.name} reads {want.name} in {want.unit!r}, the dataset gives {has.unit!r}, "
                "and no conversion is known"
            )
        channels = tuple(has.bands.index(b) for b in want.bands)
        mapping[want.name] = BandMapping(has.name, channels, CONVERT[has.unit, want.unit])
    return mapping


def _few(bands: Sequence[str]) -> str:
    """Name up to four bands for a message; of more, say how many there are."""
    return ", ".join(bands) if len(bands) <= 4 else f"{len(bands)} bands"
