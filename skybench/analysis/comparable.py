"""Which records may be set side by side, which of a model are meant, and who leads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.analysis import paired_tests
from skybench.core import Record, SkybenchError, UsageError, affects, registry
from skybench.core.fingerprint import canonical

# Scores of these are no statement about a model, so no other is compared with them unasked.
UNTRAINED = frozenset(("random weights", "tiny variant", "partial checkpoint"))


class Ground(NamedTuple):
    """What records must share for their scores to be compared."""

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


def ground_of(record: Record) -> Ground:
    """The ground of a record that was measured."""
    recipe = {k: v for k, v in affects(record.recipe).items() if k != "protocol"}
    return Ground(
        record.data, record.task, record.dataset, record.recipe.get("label", ""),
        record.recipe["protocol"], record.sensors, (record.main or ("", 0.0))[0],
        canonical(recipe),
    )  # fmt: skip


def words_of(record: Record) -> tuple[str, ...]:
    """What tells records of one model and ground apart: variant, weights, the network's settings.

    A setting is NAME=VALUE, a list's values being joined by '+'.
    """
    arch = record.used.get("arch", {}).items()
    lists = ((n, v if isinstance(v, list) else [v]) for n, v in arch)
    settings = (f"{n}={'+'.join(map(str, values))}" for n, values in lists)
    variant, weights = record.used.get("variant", ""), record.used.get("weights", "none")
    return str(variant), str(weights)[:8], *settings


def unusual(record: Record) -> set[str]:
    """The words without which it is not meant: random weights, settings of the network."""
    _, weights, *settings = words_of(record)
    return {*settings, *(["random"] if weights == "random" else [])}


def entries(records: Iterable[Record], asked: str) -> dict[Ground, Record]:
    """The newest measured record on every ground of the model that is asked for.

    asked: a model's id, with variant or weights where it has several ("galileo/tiny",
    "imagenet/random"); random weights and settings of a network are taken only where named.
    Raises UsageError where nothing of it was measured, or several records of a ground are meant.
    """
    name, *words = asked.split("/")
    every = [r for r in records if r.main]
    if all(r.model != name for r in every):
        name = registry.resolve("baselines", name)
    own = [r for r in every if r.model == name]
    fits = [r for r in own if set(words) <= {*words_of(r)}]
    chosen = [r for r in fits if unusual(r) <= set(words)]
    if not chosen:
        known = sorted({"/".join((name, *filter(None, words_of(r)))) for r in own})
        there = f"There are {', '.join(known)}." if own else "`skybench run` does that."
        raise UsageError(f"Nothing of {asked} was measured here. {there}")
    found: dict[Ground, Record] = {}
    for record in sorted(chosen, key=lambda r: r.made):
        ground = ground_of(record)
        if ground in found and words_of(found[ground]) != words_of(record):
            several = (f"{name}/{'/'.join(words_of(r))}" for r in (found[ground], record))
            raise UsageError(f"{asked} is several ({ground}); name {' or '.join(several)}.")
        found[ground] = record
    return found


def of_one_kind(grounds: Sequence[Ground]) -> list[Ground]:
    """Those on real data, or else on demo data; of them those on all data, or else on a part.

    So that a mean is never over both.
    """
    real = [g for g in grounds if g.data == "real"] or list(grounds)
    return [g for g in real if g.whole] or real


class Lead(NamedTuple):
    """The rows of a column that are marked, and how ties were told."""

    best: frozenset[int]
    second: frozenset[int]
    tested: bool  # some pair by a paired test
    overlapped: bool  # some pair by its intervals


def leaders(column: Mapping[int, Record], results: Path | None) -> Lead:
    """Who is best and second among the comparable rows of a column.

    Whatever is not significantly below the highest score shares its mark: by paired tests,
    Holm-corrected within the ground, where predictions were kept below `results`; by overlapping
    intervals where they were not. Rows that have no other to be compared with get no mark.
    """
    grounds: dict[Ground, dict[int, Record]] = {}
    for row, record in column.items():
        if record.main and not UNTRAINED & set(record.flags):
            grounds.setdefault(ground_of(record), {})[row] = record
    best: set[int] = set()
    second: set[int] = set()
    tested = overlapped = False
    for rows in grounds.values():
        if len(rows) > 1:
            score = {i: r.main[1] for i, r in rows.items() if r.main}
            top = max(score, key=lambda i: score[i])
            ps = dict(_tests(rows, top, results))
            level = dict(zip(ps, paired_tests.holm(list(ps.values())), strict=True))
            tied = {i for i in rows if level.get(i, 0) >= paired_tests.LEVEL}
            tied |= {i for i in rows if i not in ps and _overlap(rows[i], rows[top])}
            tied |= {i for i in rows if score[i] == score[top]}
            tested |= bool(ps)
            overlapped |= len(ps) < len(rows) - 1
            best |= tied
            rest = [score[i] for i in rows if i not in tied]
            second |= {i for i in rows if i not in tied and score[i] == max(rest)}
    return Lead(frozenset(best), frozenset(second), tested, overlapped)


def _tests(
    rows: Mapping[int, Record], top: int, results: Path | None
) -> Iterator[tuple[int, float]]:
    """p of every row against the highest, where both have resampled scores."""
    for row, record in rows.items():
        if row != top and results is not None:
            with contextlib.suppress(SkybenchError):
                one, other = (
                    paired_tests.load(rows[top], results),
                    paired_tests.load(record, results),
                )
                yield row, paired_tests.difference(one, other).p


def _overlap(one: Record, other: Record) -> bool:
    name = (one.main or ("", 0.0))[0]
    bands = [r.intervals.get(name) for r in (one, other)]
    return all(bands) and max(b[0] for b in bands if b) <= min(b[1] for b in bands if b)
