"""Two models on all their common cells: paired tests with Holm-Bonferroni correction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from skybench.analysis import comparable, paired_tests
from skybench.analysis.comparable import ComparisonKey
from skybench.analysis.paired_tests import LEVEL, SEEDS, Difference
from skybench.analysis.replicates import load_replicates
from skybench.analysis.score_text import score_text, unit_text
from skybench.core import Recipe, Record, ScoreInfo, SkybenchError, UsageError, registry
from skybench.core.recipe import LATER
from skybench.core.score import PERCENT
from skybench.records.identity import place_label
from skybench.records.labels import recipe_label, told_recipe


def mean(values: Iterable[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    known = list(values)
    return sum(known) / len(known)


@dataclass(frozen=True)
class CellComparison:
    """Two models on one cell."""

    key: ComparisonKey
    one: Record
    other: Record
    gap: Difference | None  # None: no predictions to resample; `note` says why
    corrected: float | None = None  # p after Holm's correction for the number of cells
    note: str = ""

    @property
    def difference(self) -> float:
        """First minus second recorded score, in the score's unit."""
        return _score(self.one) - _score(self.other)

    @property
    def info(self) -> ScoreInfo:
        """Direction and unit of the score."""
        return self.one.score_info(self.key.metric)

    @property
    def gain(self) -> float:
        """By how much the first model is better; negative where it is worse."""
        return self.info.gain(_score(self.one), _score(self.other))

    @property
    def verdict(self) -> str:
        """For the first model: "win", "loss", "tie" (not significant), or "" (not tested)."""
        if self.corrected is None:
            return ""
        if self.corrected >= LEVEL:
            return "tie"
        return "win" if self.gain > 0 else "loss"

    def row(self) -> dict[str, Any]:
        """Plain JSON. effect: the difference in standard errors; h: Cohen's, of accuracies."""
        gap = self.gap
        return {
            **{n: v for n, v in self.key._asdict().items() if n != "recipe"},
            "settings": recipe_label(self.one), "a": _score(self.one), "b": _score(self.other),
            "difference": round(self.difference, 4),
            "low": round(gap.low, 4) if gap else None, "high": round(gap.high, 4) if gap else None,
            "p": gap.p if gap else None, "p_holm": self.corrected, "test": gap.test if gap else "",
            "effect": gap.value / gap.error if gap and gap.error else None, "h": self._h(),
            "images": self.one.samples.get("test"), "verdict": self.verdict,
            "flags_a": list(self.one.flags), "flags_b": list(self.other.flags), "note": self.note,
        }  # fmt: skip

    def _h(self) -> float | None:
        if self.key.metric != "oa":
            return None
        shares = (_score(r) / 100 for r in (self.one, self.other))
        one, other = (2 * math.asin(math.sqrt(min(1.0, s))) for s in shares)
        return one - other


class Total(NamedTuple):
    """The summary of the cells of one protocol and unit."""

    protocol: str
    cells: int
    gain: float  # mean over the cells, positive if better: the rule of SkySense's abstract
    wins: int
    ties: int
    losses: int
    untested: int
    unit: str


@dataclass(frozen=True)
class Comparison:
    """Two models on their common cells, and the cells that are left out."""

    names: tuple[str, str]
    cells: Sequence[CellComparison]
    apart: Mapping[str, str]  # cell -> why it is not compared

    def totals(self) -> list[Total]:
        """One for each protocol and unit: they are never averaged."""
        found = []
        for protocol, unit in sorted({(c.key.protocol, c.info.unit) for c in self.cells}):
            own = [c for c in self.cells if (c.key.protocol, c.info.unit) == (protocol, unit)]
            ends = [c.verdict for c in own]
            wins, ties, losses, untested = map(ends.count, ("win", "tie", "loss", ""))
            gain = mean(c.gain for c in own)
            found.append(Total(protocol, len(own), gain, wins, ties, losses, untested, unit))
        return found

    def summary(self) -> list[str]:
        """A sentence for each protocol, and one where networks were trained only once."""
        one, other = self.names
        key = self.cells[0].key  # all are of one kind
        kind = " of DEMO DATA" if key.data == "demo" else ""
        kind += "" if key.whole else " on a part of the data"
        tested = sum(d.corrected is not None for d in self.cells)
        return [
            f"{one} is {_distance(t)} {other} on "
            f"the mean of {t.cells} common cell(s){kind} ({t.protocol}): significantly better on "
            f"{t.wins}, worse on {t.losses}, not told apart on {t.ties}"
            + (f", not tested on {t.untested}" if t.untested else "")
            + f" (paired tests, Holm over {tested}, 5 %)."
            for t in self.totals()
        ] + self._trained_once()

    def _trained_once(self) -> list[str]:
        """What the tests of networks with one seed are about."""
        once = [d for d in self.cells if d.gap and d.gap.test != SEEDS and _is_trained(d.key)]
        if not once:
            return []
        return [
            f"On {len(once)} of the cells the tests are about these trained networks, not about "
            "other trainings of the models: a run with --seeds 3 carries the variance between "
            "seeds."
        ]

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "a": self.names[0], "b": self.names[1], "summary": self.summary(),
            "totals": [t._asdict() for t in self.totals()],
            "cells": [d.row() for d in self.cells], "not_compared": dict(self.apart),
        }  # fmt: skip


def _is_trained(key: ComparisonKey) -> bool:
    """Whether another seed would give another network: training in gradient steps."""
    try:
        return registry.task(key.task).protocol(key.protocol).trains_stepwise
    except SkybenchError:  # of a plugin that is gone
        return False


def _distance(total: Total) -> str:
    """How far the first model is from the second, as "1.20 points above"."""
    gain, unit = total.gain, total.unit
    amount = f"{score_text(abs(gain), ScoreInfo(unit=unit))} {unit_text(unit)}".strip()
    words = ("above", "below") if unit == PERCENT else ("better than", "worse than")
    return f"{amount} {words[gain < 0]}"


def compare_models(
    records: Sequence[Record], results: Path, asked: tuple[str, str], task: str, protocol: str
) -> Comparison:
    """Compare two models on all their common cells.

    asked: their names, as for `records_of_model`. task, protocol: "" for all.

    Raises UsageError where they have no cell in common.
    """
    one, other = (
        {g: r for g, r in comparable.records_of_model(records, name).items()
         if task in ("", g.task) and protocol in ("", g.protocol)}
        for name in asked
    )  # fmt: skip
    common = comparable.keep_one_kind([g for g in one if g in other])
    apart = {
        _named(g, r): _why(g, name, theirs, records)
        for ours, theirs, name in ((one, other, asked[1]), (other, one, asked[0]))
        for g, r in ours.items()
        if g not in common
    }
    if not common:
        reasons = "".join(f"\n- {cell}: {why}" for cell, why in apart.items())
        raise UsageError(f"{' and '.join(asked)} have no measured cell in common.{reasons}")
    cells = [compare_cell(g, one[g], other[g], results) for g in sorted(common)]
    levels = iter(paired_tests.holm([c.gap.p for c in cells if c.gap]))
    cells = [replace(c, corrected=next(levels)) if c.gap else c for c in cells]
    return Comparison(asked, cells, apart)


def compare_cell(key: ComparisonKey, one: Record, other: Record, results: Path) -> CellComparison:
    """Compare two records of one key, by a paired test where their predictions were kept."""
    try:
        gap = paired_tests.paired_difference(
            load_replicates(one, results), load_replicates(other, results)
        )
    except SkybenchError as error:
        return CellComparison(key, one, other, None, note=str(error))
    return CellComparison(key, one, other, gap)


def _score(record: Record) -> float:
    return record.main[1] if record.main else math.nan


def _named(key: ComparisonKey, record: Record) -> str:
    return " ".join(filter(None, (str(key), told_recipe(record), f"({record.data} data)")))


def _why(
    key: ComparisonKey, asked: str, theirs: Iterable[ComparisonKey], records: Iterable[Record]
) -> str:
    """The reason why a cell of one model is not compared with the other."""
    there = [g for g in theirs if g[:5] == key[:5]]
    if key in there:
        return "cells on demo data or on a part of the data are not averaged with others"
    if there:
        return f"{asked} has it with " + _apart(there[0], key)
    for g in theirs:
        if _without_content(g) == _without_content(key):
            return f"{asked} has it on other images or labels ({g.label or g.dataset})"
    for r in records:
        place = (r.data, r.task, r.dataset, place_label(r), r.recipe["protocol"])
        if r.model == asked.partition("/")[0] and place == key[:5]:
            words = "/".join(filter(None, comparable.variant_words(r)))
            return f"{asked} has it only as {words}" if r.main else f"{asked} {r.status}: {r.note}"
    return f"{asked} was not measured"


def _without_content(key: ComparisonKey) -> tuple[str, ...]:
    """The cell of a key, whatever images and labels it was measured on."""
    return (*key[:3], key.label.partition("[")[0].strip(), key.protocol, key.sensors, key.recipe)


def _apart(theirs: ComparisonKey, ours: ComparisonKey) -> str:
    """The fields in which two keys of one cell differ."""
    usual = {n: getattr(Recipe, n) for n in LATER}
    one, other = (
        {**usual, **g._asdict(), **json.loads(g.recipe), "recipe": ""} for g in (theirs, ours)
    )
    names = [n for n in {**one, **other} if one.get(n) != other.get(n)]
    names = [n for n in names if n != "content"]  # hashes tell a reader nothing
    if not names:
        return "other images or labels"
    return ", ".join(f"{n} {_said(one.get(n))}, not {_said(other.get(n))}" for n in names)


def _said(value: Any) -> str:
    return "none" if value in ("", None, (), []) else str(value)
