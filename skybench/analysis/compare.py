"""Two models on all cells that both have: paired differences, corrected for their number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from skybench.analysis import comparable, paired_tests
from skybench.analysis.comparable import Ground
from skybench.analysis.paired_tests import LEVEL, Difference
from skybench.core import Record, SkybenchError, UsageError
from skybench.records.labels import changed


def mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    known = list(values)
    return sum(known) / len(known)


@dataclass(frozen=True)
class Duel:
    """Two models on one cell."""

    ground: Ground
    one: Record
    other: Record
    gap: Difference | None  # None: it could not be resampled; `note` says why
    corrected: float | None = None  # p after Holm's correction for the number of cells
    note: str = ""

    @property
    def difference(self) -> float:
        """Of the recorded scores, in points."""
        return _score(self.one) - _score(self.other)

    @property
    def verdict(self) -> str:
        """For the first model: "win", "loss", "tie" (not significant), or "" (not tested)."""
        if self.corrected is None:
            return ""
        if self.corrected >= LEVEL:
            return "tie"
        return "win" if self.difference > 0 else "loss"

    def row(self) -> dict[str, Any]:
        """Plain JSON. effect: the difference in standard errors; h: Cohen's, of accuracies."""
        gap = self.gap
        return {
            **{n: v for n, v in self.ground._asdict().items() if n != "recipe"},
            "settings": changed(self.one), "a": _score(self.one), "b": _score(self.other),
            "difference": round(self.difference, 4),
            "low": round(gap.low, 4) if gap else None, "high": round(gap.high, 4) if gap else None,
            "p": gap.p if gap else None, "p_holm": self.corrected, "test": gap.test if gap else "",
            "effect": gap.value / gap.error if gap and gap.error else None, "h": self._h(),
            "images": self.one.samples.get("test"), "verdict": self.verdict,
            "flags_a": list(self.one.flags), "flags_b": list(self.other.flags), "note": self.note,
        }  # fmt: skip

    def _h(self) -> float | None:
        if self.ground.metric != "oa":
            return None
        shares = (_score(r) / 100 for r in (self.one, self.other))
        one, other = (2 * math.asin(math.sqrt(min(1.0, s))) for s in shares)
        return one - other


class Total(NamedTuple):
    """What the cells of one protocol come to."""

    protocol: str
    cells: int
    gain: float  # mean difference over every cell, in points: the rule of SkySense's abstract
    wins: int
    ties: int
    losses: int
    untested: int


@dataclass(frozen=True)
class Comparison:
    """Two models on the cells that both have, and what is left out."""

    names: tuple[str, str]
    duels: Sequence[Duel]
    apart: Mapping[str, str]  # cell -> why it is not compared

    def totals(self) -> list[Total]:
        """One for each protocol: they are never averaged."""
        found = []
        for protocol in sorted({d.ground.protocol for d in self.duels}):
            own = [d for d in self.duels if d.ground.protocol == protocol]
            ends = [d.verdict for d in own]
            counts = (ends.count(verdict) for verdict in ("win", "tie", "loss", ""))
            found.append(Total(protocol, len(own), mean(d.difference for d in own), *counts))
        return found

    def summary(self) -> list[str]:
        """A sentence for each protocol."""
        one, other = self.names
        ground = self.duels[0].ground  # all are of one kind
        kind = " of DEMO DATA" if ground.data == "demo" else ""
        kind += "" if ground.whole else " on a part of the data"
        tested = sum(d.corrected is not None for d in self.duels)
        return [
            f"{one} is {abs(t.gain):.2f} points {'above' if t.gain >= 0 else 'below'} {other} on "
            f"the mean of {t.cells} common cell(s){kind} ({t.protocol}): significantly better on "
            f"{t.wins}, worse on {t.losses}, not told apart on {t.ties}"
            + (f", not tested on {t.untested}" if t.untested else "")
            + f" (paired tests, Holm over {tested}, 5 %)."
            for t in self.totals()
        ]

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "a": self.names[0], "b": self.names[1], "summary": self.summary(),
            "totals": [t._asdict() for t in self.totals()],
            "cells": [d.row() for d in self.duels], "not_compared": dict(self.apart),
        }  # fmt: skip


def compare(
    records: Sequence[Record], results: Path, asked: tuple[str, str], task: str, protocol: str
) -> Comparison:
    """Compares two models; asked: as in `peers.entries`; task, protocol: "" for all.

    Raises UsageError where they have no cell in common.
    """
    one, other = (
        {g: r for g, r in comparable.entries(records, name).items()
         if task in ("", g.task) and protocol in ("", g.protocol)}
        for name in asked
    )  # fmt: skip
    common = comparable.of_one_kind([g for g in one if g in other])
    apart = {
        _named(g, r): _why(g, name, theirs, records)
        for ours, theirs, name in ((one, other, asked[1]), (other, one, asked[0]))
        for g, r in ours.items()
        if g not in common
    }
    if not common:
        reasons = "".join(f"\n- {cell}: {why}" for cell, why in apart.items())
        raise UsageError(f"{' and '.join(asked)} have no measured cell in common.{reasons}")
    duels = [duel(g, one[g], other[g], results) for g in sorted(common)]
    levels = iter(paired_tests.holm([d.gap.p for d in duels if d.gap]))
    duels = [replace(d, corrected=next(levels)) if d.gap else d for d in duels]
    return Comparison(asked, duels, apart)


def duel(ground: Ground, one: Record, other: Record, results: Path) -> Duel:
    """Two records of one ground, tested image by image where their predictions were kept."""
    try:
        gap = paired_tests.difference(
            paired_tests.load(one, results), paired_tests.load(other, results)
        )
    except SkybenchError as error:
        return Duel(ground, one, other, None, note=str(error))
    return Duel(ground, one, other, gap)


def _score(record: Record) -> float:
    return record.main[1] if record.main else math.nan


def _named(ground: Ground, record: Record) -> str:
    return " ".join(filter(None, (str(ground), changed(record), f"({record.data} data)")))


def _why(ground: Ground, asked: str, theirs: Iterable[Ground], records: Iterable[Record]) -> str:
    """Why a cell of one model is not compared with the other, as asked for."""
    there = [g for g in theirs if g[:5] == ground[:5]]
    if ground in there:
        return "cells on demo data or on a part of the data are not averaged with others"
    if there:
        return f"{asked} has it with " + _apart(there[0], ground)
    for r in records:
        place = (r.data, r.task, r.dataset, r.recipe.get("label", ""), r.recipe["protocol"])
        if r.model == asked.partition("/")[0] and place == ground[:5]:
            words = "/".join(filter(None, comparable.words_of(r)))
            return f"{asked} has it only as {words}" if r.main else f"{asked} {r.status}: {r.note}"
    return f"{asked} was not measured"


def _apart(theirs: Ground, ours: Ground) -> str:
    """What two grounds of one cell differ in."""
    one, other = ({**g._asdict(), **json.loads(g.recipe), "recipe": ""} for g in (theirs, ours))
    names = [n for n in {**one, **other} if one.get(n) != other.get(n)]
    return ", ".join(f"{n} {one.get(n)}, not {other.get(n)}" for n in names)
