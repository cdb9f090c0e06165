"""Comparability: which records may be compared, which of a model are meant, which are best."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from skybench.analysis import paired_tests
from skybench.analysis.remembered_tests import RememberedTests
from skybench.core import Record, UsageError, affects, registry
from skybench.core.fingerprint import canonical_json
from skybench.records.identity import card_versions, content_key, place_label

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
    content: str = ""  # of images and labels: see `content_key`
    versions: str = ""  # of reader and metric: see `card_versions`

    def __str__(self) -> str:
        place = " ".join(filter(None, (self.dataset, self.label, self.sensors)))
        return f"{self.task}: {place}, {self.protocol}"

    @property
    def whole(self) -> bool:
        """Whether the model was given all of the data."""
        recipe = json.loads(self.recipe)
        return recipe.get("fraction", 1.0) == 1.0 and not recipe.get("limit", 0)


def comparison_key(record: Record, known: dict[Any, Any] | None = None) -> ComparisonKey:
    """Return the key of a measured record.

    known: the parts of keys that rest on a recipe or on `used` and kind of data alone, by the `id`
    of these; filled here: many records share one object, which must outlive the mapping.
    """
    parts = {} if known is None else known
    recipe, used = id(record.recipe), (id(record.used), record.data)
    if recipe not in parts:
        affecting = {k: v for k, v in affects(record.recipe).items() if k != "protocol"}
        parts[recipe] = canonical_json(affecting)
    if used not in parts:
        parts[used] = record.sensors, content_key(record), card_versions(record)
    sensors, content, versions = parts[used]
    return ComparisonKey(
        record.data, record.task, record.dataset, place_label(record),
        record.recipe["protocol"], sensors, (record.main or ("", 0.0))[0],
        parts[recipe], content, versions,
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


def unranked(note: str, records: Iterable[Record], models: Iterable[str]) -> str:
    """Return a note with a sentence on the models that have records but are not among `models`."""
    reasons: dict[str, str] = {}
    for r in records:
        name = "/".join((r.model, *filter(None, variant_words(r))))
        why = f"only {name}, to be named so" if r.main else f"{r.status}: {r.note}".rstrip(". ")
        if r.main or r.model not in reasons:
            reasons[r.model] = why
    taken = {name.partition("/")[0] for name in models}
    left = [f"{model} ({why})" for model, why in sorted(reasons.items()) if model not in taken]
    return " ".join(filter(None, [note, f"Not ranked: {'; '.join(left)}." if left else ""]))


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
    unmarked: Mapping[int, str] = MappingProxyType({})  # row -> why it is never marked


def leaders(column: Mapping[int, Record], tests: RememberedTests | None) -> Leaders:
    """Return the best and the second among the comparable rows of a column.

    Rows that are not significantly worse than the best one share its mark: by paired tests,
    Holm-corrected among comparable rows, where `tests` finds predictions; else by overlapping
    intervals. A row without a comparable one gets no mark, nor does one that says
    nothing about a published model, is not above chance, was chosen on the test, or has too few
    test images for a test.
    """
    unmarked = {row: why for row, record in column.items() if (why := never_marked(record))}
    keys: dict[ComparisonKey, dict[int, Record]] = {}
    known: dict[Any, Any] = {}
    for row, record in column.items():
        if record.main and not UNTRAINED & set(record.flags):
            keys.setdefault(comparison_key(record, known), {})[row] = record
    found = [
        _leaders({i: r for i, r in rows.items() if i not in unmarked}, tests)
        for rows in keys.values()
        if len(rows) > 1
    ]
    return Leaders(
        frozenset().union(*(lead.best for lead in found)),
        frozenset().union(*(lead.second for lead in found)),
        any(lead.tested for lead in found),
        any(lead.overlapped for lead in found),
        unmarked,
    )


def never_marked(record: Record) -> str:
    """Return why a row is never marked as best; "" where it may be, or has no score."""
    if not record.main:
        return ""
    untrained = sorted(UNTRAINED & set(record.flags))
    if untrained:
        return ", ".join(untrained)
    if "chance" in record.flags:
        return "not above chance"
    if "chosen on the test" in record.flags:
        return "chosen on the test"
    return str(record.used.get("no_interval", ""))


def _leaders(rows: Mapping[int, Record], tests: RememberedTests | None) -> Leaders:
    """The best and the second of rows that may be compared and marked."""
    if not rows:
        return Leaders(frozenset(), frozenset(), False, False)
    score = {i: r.main[1] for i, r in rows.items() if r.main}
    better = next(iter(rows.values())).score_info(_metric(rows)).better

    def first(some: Iterable[int]) -> int:
        return functools.reduce(lambda a, b: b if better(score[b], score[a]) else a, some)

    top = first(rows)
    ps = dict(_tests(rows, top, tests))
    level = dict(zip(ps, paired_tests.holm(list(ps.values())), strict=True))
    tied = {i for i in rows if level.get(i, 0) >= paired_tests.LEVEL}
    tied |= {i for i in rows if i not in ps and _overlap(rows[i], rows[top])}
    tied |= {i for i in rows if score[i] == score[top]}
    rest = [i for i in rows if i not in tied]
    after = score[first(rest)] if rest else 0.0
    second = {i for i in rest if not better(after, score[i])}
    return Leaders(frozenset(tied), frozenset(second), bool(ps), len(ps) < len(rows) - 1)


def _tests(
    rows: Mapping[int, Record], top: int, tests: RememberedTests | None
) -> Iterator[tuple[int, float]]:
    """p of every row against the best, where both have bootstrap replicates."""
    for row, record in rows.items() if tests else ():
        if row != top and tests and (p := tests.p_value(rows[top], record)) is not None:
            yield row, p


def _metric(rows: Mapping[int, Record]) -> str:
    return comparison_key(next(iter(rows.values()))).metric


def _overlap(one: Record, other: Record) -> bool:
    name = (one.main or ("", 0.0))[0]
    bands = [r.intervals.get(name) for r in (one, other)]
    return all(bands) and max(b[0] for b in bands if b) <= min(b[1] for b in bands if b)
