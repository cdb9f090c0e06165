"""Comparability: which records may be compared, which of a model are meant, which are best."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.analysis import paired_tests
from skybench.core import Record, SkybenchError, UsageError, affects, registry
from skybench.core.fingerprint import canonical_json

# Records with these flags say nothing about the published model: excluded unless named.
UNTRAINED = frozenset(("random weights", "tiny variant", "partial checkpoint"))


class ComparisonKey(NamedTuple):
    """All that two records must share for their scores to be compared."""

    data: str
    task: str
    dataset: str
    label: str
    protocol: str
    sensors: str
    metric: str
    recipe: str  # all of it that affects a number, as JSON

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.dataset, self.label, self.sensors)))
        return f"{self.task}: {place}, {self.protocol}"

    @property
    def whole(self) -> bool:
        """Whether the model was given all of the data."""
        recipe = json.loads(self.recipe)
        return recipe.get("fraction", 1.0) == 1.0 and not recipe.get("limit", 0)


def comparison_key(record: Record) -> ComparisonKey:
    """Return the key of a measured record."""
    recipe = {k: v for k, v in affects(record.recipe).items() if k != "protocol"}
    return ComparisonKey(
        record.data, record.task, record.dataset, record.recipe.get("label", ""),
        record.recipe["protocol"], record.sensors, (record.main or ("", 0.0))[0],
        canonical_json(recipe),
    )  # fmt: skip


def variant_words(record: Record) -> tuple[str, ...]:
    """Return what distinguishes records of one model: variant, weights, network settings.

    A setting is NAME=VALUE, with the values of a list joined by '+'.
    """
    arch = record.used.get("arch", {}).items()
    lists = ((n, v if isinstance(v, list) else [v]) for n, v in arch)
    settings = (f"{n}={'+'.join(map(str, values))}" for n, values in lists)
    variant, weights = record.used.get("variant", ""), record.used.get("weights", "none")
    return str(variant), str(weights)[:8], *settings


def qualifiers(record: Record) -> set[str]:
    """Return the qualifiers that a user must name to select this record: it is no default."""
    _, weights, *settings = variant_words(record)
    return {*settings, *(["random"] if weights == "random" else [])}


def records_of_model(records: Iterable[Record], asked: str) -> dict[ComparisonKey, Record]:
    """Return a model's newest measured record for every key.

    asked: a model's id, with variant or weights where it has several ("galileo/tiny",
    "imagenet/random"); random weights and settings of a network are taken only where named.
    Raises UsageError where nothing of it was measured, or where several variants match.
    """
    name, *words = asked.split("/")
    every = [r for r in records if r.main]
    if all(r.model != name for r in every):
        name = registry.resolve("baselines", name)
    own = [r for r in every if r.model == name]
    fits = [r for r in own if set(words) <= {*variant_words(r)}]
    chosen = [r for r in fits if qualifiers(r) <= set(words)]
    if not chosen:
        known = sorted({"/".join((name, *filter(None, variant_words(r)))) for r in own})
        there = f"There are {', '.join(known)}." if own else "`skybench run` does that."
        raise UsageError(f"Nothing of {asked} was measured here. {there}")
    found: dict[ComparisonKey, Record] = {}
    for record in sorted(chosen, key=lambda r: r.made):
        key = comparison_key(record)
        if key in found and variant_words(found[key]) != variant_words(record):
            several = (f"{name}/{'/'.join(variant_words(r))}" for r in (found[key], record))
            raise UsageError(f"{asked} is several ({key}); name {' or '.join(several)}.")
        found[key] = record
    return found


def keep_one_kind(keys: Sequence[ComparisonKey]) -> list[ComparisonKey]:
    """Keep real-data cells if there are any, else demo; then full-data cells, else subsets.

    The two kinds are never mixed in a mean.
    """
    real = [g for g in keys if g.data == "real"] or list(keys)
    return [g for g in real if g.whole] or real


class Leaders(NamedTuple):
    """The rows of a column that are marked as best and second, and how ties were found."""

    best: frozenset[int]
    second: frozenset[int]
    tested: bool  # some tie is by a paired test
    overlapped: bool  # some tie is by overlapping intervals


def leaders(column: Mapping[int, Record], results: Path | None) -> Leaders:
    """Return the best and the second among the comparable rows of a column.

    Rows that are not significantly worse than the best one share its mark: by paired tests,
    Holm-corrected among comparable rows, where predictions were kept below `results`; else by
    overlapping intervals. A row without a comparable one gets no mark.
    """
    keys: dict[ComparisonKey, dict[int, Record]] = {}
    for row, record in column.items():
        if record.main and not UNTRAINED & set(record.flags):
            keys.setdefault(comparison_key(record), {})[row] = record
    best: set[int] = set()
    second: set[int] = set()
    tested = overlapped = False
    for rows in keys.values():
        if len(rows) > 1:
            score = {i: r.main[1] for i, r in rows.items() if r.main}
            better = next(iter(rows.values())).score_info(_metric(rows)).better
            top = functools.reduce(lambda a, b: b if better(score[b], score[a]) else a, score)
            ps = dict(_tests(rows, top, results))
            level = dict(zip(ps, paired_tests.holm(list(ps.values())), strict=True))
            tied = {i for i in rows if level.get(i, 0) >= paired_tests.LEVEL}
            tied |= {i for i in rows if i not in ps and _overlap(rows[i], rows[top])}
            tied |= {i for i in rows if score[i] == score[top]}
            tested |= bool(ps)
            overlapped |= len(ps) < len(rows) - 1
            best |= tied
            rest = [i for i in rows if i not in tied]
            second |= {i for i in rest if not any(better(score[j], score[i]) for j in rest)}
    return Leaders(frozenset(best), frozenset(second), tested, overlapped)


def _tests(
    rows: Mapping[int, Record], top: int, results: Path | None
) -> Iterator[tuple[int, float]]:
    """p of every row against the best, where both have bootstrap replicates."""
    for row, record in rows.items():
        if row != top and results is not None:
            with contextlib.suppress(SkybenchError):
                one, other = (
                    paired_tests.load_replicates(rows[top], results),
                    paired_tests.load_replicates(record, results),
                )
                yield row, paired_tests.paired_difference(one, other).p


def _metric(rows: Mapping[int, Record]) -> str:
    return comparison_key(next(iter(rows.values()))).metric


def _overlap(one: Record, other: Record) -> bool:
    name = (one.main or ("", 0.0))[0]
    bands = [r.intervals.get(name) for r in (one, other)]
    return all(bands) and max(b[0] for b in bands if b) <= min(b[1] for b in bands if b)
