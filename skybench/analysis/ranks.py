"""Ranks of many models over their common cells, with bootstrap intervals and Friedman's test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata, studentized_range

from skybench.analysis import bootstrap, comparable, paired_tests, replicates
from skybench.analysis.comparable import ComparisonKey
from skybench.core import Record, ScoreInfo, SkybenchError, UsageError
from skybench.records.labels import told_recipe

Floats = NDArray[np.float64]
FLOOR = "image_stats"  # the baseline of channel means and deviations
IMPUTE = ("", "worst", "floor")  # what replaces a missing score; "": the cell is left out


class Band(NamedTuple):
    """A 95 % percentile bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True)
class RankRow:
    """One model in a ranking."""

    model: str
    measured: int  # cells, of those that any of the models has
    rank: float  # mean over the cells, 1 is best; equal scores share their mean rank
    over_cells: Band  # cells resampled: would other datasets rank alike?
    over_images: Band | None  # test images resampled: are these scores told apart?
    iqm: float | None  # interquartile mean over cells; 0 is the floor, 1 the best of the models
    gain: float | None  # mean over the cells of what it is better by than the other models
    flags: Sequence[str]


@dataclass(frozen=True)
class Ranking:
    """Models by their mean rank, the best first."""

    protocol: str
    data: str
    cells: Sequence[str]
    lacking: Mapping[str, Sequence[str]]  # cell -> the models that lack it
    imputed: str  # one of IMPUTE; "": cells that some model lacks do not count
    floor: str  # the 0 of the IQM: "image_stats", "chance", or "" where neither is known
    standings: Sequence[RankRow]
    friedman: float  # statistic
    p: float  # of the null hypothesis that all models are equal
    critical: float  # difference of mean ranks that is significant at 5 % (Nemenyi)
    groups: Sequence[Sequence[str]]  # models that lie within it, the largest such groups
    unit: str  # of the gains; "mixed": the cells have several, and there are no gains
    note: str  # why intervals are missing, and which models are not ranked, and why

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class RankInput(NamedTuple):
    """The models and the cells that are ranked."""

    held: Mapping[str, Mapping[ComparisonKey, Record]]
    union: Sequence[ComparisonKey]
    cells: Sequence[ComparisonKey]

    def scores(self) -> Floats:
        """Scores [cells, models], higher is better (see `oriented`); NaN where one is missing."""
        rows = [[own[g].main if g in own else None for own in self.held.values()]
                for g in self.cells]  # fmt: skip
        scores = np.array([[main[1] if main else np.nan for main in row] for row in rows])
        return self.oriented(scores)

    def oriented(self, scores: Floats) -> Floats:
        """Turn scores [cells, ...] so that higher is better: errors are negated."""
        turned = scores.copy()
        for row, cell in enumerate(self.cells):
            up = self.info(cell).higher_is_better
            turned[row] = -np.abs(scores[row]) if up is None else scores[row] * (1 if up else -1)
        return turned

    def info(self, cell: ComparisonKey) -> ScoreInfo:
        """Direction and unit of a cell's score."""
        return next(own[cell] for own in self.held.values() if cell in own).score_info(cell.metric)

    @property
    def unit(self) -> str:
        """The unit of the scores, "mixed" where cells differ in it."""
        units = {self.info(g).unit for g in self.cells}
        return units.pop() if len(units) == 1 else "mixed"

    def named(self, cell: ComparisonKey) -> str:
        """The cell's name, with changed recipe fields."""
        record = next(own[cell] for own in self.held.values() if cell in own)
        return " ".join(filter(None, (str(cell), told_recipe(record))))


def rank_models(
    records: Sequence[Record],
    results: Path,
    models: Sequence[str] = (),
    task: str = "",
    protocol: str = "",
    impute: str = "",
) -> Ranking:
    """Rank models by their mean rank over cells.

    models: as for `records_of_model`; () for all that have trained weights.

    Only cells that all have count, unless missing scores are imputed, by the worst of the others
    ("worst") or by the floor ("floor"). Raises UsageError for fewer than two models or cells, and
    for several protocols, which are never averaged.
    """
    if impute not in IMPUTE:
        raise UsageError(f"Expected --impute worst or floor, but got {impute!r}.")
    data = _rank_input(records, models, task, protocol, bool(impute))
    floors, floor = _floors(data, records)
    floors = data.oriented(floors)
    if impute == "floor" and not floor:
        raise UsageError(f"Neither {FLOOR} nor chance is known of all cells; impute the worst.")
    images: Sequence[Band | None] = [None] * len(data.held)
    note = ""
    try:
        drawn = data.oriented(_drawn(data, results))
        images = _bands(_ranked(impute_missing(drawn, floors[:, None], impute)).mean(0))
    except SkybenchError as error:
        note = f"No interval over images: {error}."
    scores = impute_missing(data.scores(), floors, impute)
    ranks, normal = _ranked(scores), normalised(scores, floors)
    standings = _standings(data, scores, normal, images)
    critical = nemenyi(*reversed(ranks.shape))
    lacking = {data.named(g): [m for m, own in data.held.items() if g not in own]
               for g in data.union}  # fmt: skip
    return Ranking(
        data.cells[0].protocol, data.cells[0].data, [*map(data.named, data.cells)],
        {cell: models for cell, models in lacking.items() if models}, impute,
        floor if len(normal) else "", standings, *friedman(ranks), critical,
        groups(standings, critical), data.unit, comparable.unranked(note, records, data.held),
    )  # fmt: skip


def _standings(
    data: RankInput, scores: Floats, normal: Floats, images: Sequence[Band | None]
) -> list[RankRow]:
    """The models' rows, the best first; scores, normal: [cells, models], higher is better."""
    ranks, count = _ranked(scores), len(data.held)
    names = [f"{i:09}" for i in range(len(ranks))]
    weights = next(bootstrap.resamplings(names, 0, replicates.RESAMPLES))
    cells = _bands((weights @ ranks / len(ranks)).T)
    made = [
        RankRow(
            model, sum(g in own for g in data.union), float(ranks[:, i].mean()), cells[i],
            images[i], iqm(normal[:, i]) if len(normal) else None,
            None if data.unit == "mixed"
            else float((scores[:, i].mean() - scores.mean()) * count / (count - 1)),
            sorted({flag for g in data.cells if g in own for flag in own[g].flags}),
        )
        for i, (model, own) in enumerate(data.held.items())
    ]  # fmt: skip
    return sorted(made, key=lambda s: (s.rank, s.model))


def _rank_input(
    records: Sequence[Record], models: Sequence[str], task: str, protocol: str, whole: bool
) -> RankInput:
    """The models' records on real data, or else on demo data; whole: on all cells of any model."""
    trained = {r.model for r in records if r.main and not comparable.qualifiers(r)}
    held = {
        name: {g: r for g, r in comparable.records_of_model(records, name).items()
               if task in ("", g.task) and protocol in ("", g.protocol)}
        for name in models or sorted(trained)
    }  # fmt: skip
    union = sorted(comparable.keep_one_kind([*{g for own in held.values() for g in own}]))
    protocols = sorted({g.protocol for g in union})
    if len(protocols) > 1:
        raise UsageError(f"Several protocols are never averaged; give --protocol: {protocols}.")
    cells = [g for g in union if whole or all(g in own for own in held.values())]
    if len(held) < 2 or len(cells) < 2:
        coverage = ", ".join(f"{m} {sum(g in own for g in union)}" for m, own in held.items())
        raise UsageError(
            f"Ranks need at least 2 models and 2 cells that all have, but there are {len(held)} "
            f"models and {len(cells)} such cells of {len(union)} ({coverage or 'none'}); choose "
            "--models, or --impute what is missing."
        )
    return RankInput(held, union, cells)


def _floors(data: RankInput, records: Sequence[Record]) -> tuple[Floats, str]:
    """Each cell's score of the same floor, and the floor's name; "" where not all have one."""
    own = sorted((r for r in records if r.model == FLOOR), key=lambda r: r.made)
    simple = {comparable.comparison_key(r): r.main[1] for r in own if r.main}  # the newest
    if all(g in simple for g in data.cells):
        return np.array([simple[g] for g in data.cells]), FLOOR
    known = {g: r.used["chance"] for own in data.held.values() for g, r in own.items()
             if "chance" in r.used}  # fmt: skip
    if all(g in known for g in data.cells):
        return np.array([known[g] for g in data.cells]), "chance"
    return np.full(len(data.cells), np.nan), ""


def impute_missing(scores: Floats, floors: Floats, impute: str) -> Floats:
    """Replace missing scores [cells, models, ...]; floors: [cells, ...]."""
    if not impute:
        return scores
    worst = np.fmin.reduce(scores, axis=1)
    known = worst if impute == "worst" else np.broadcast_to(floors, worst.shape)
    return np.where(np.isnan(scores), known[:, None], scores)


def _drawn(data: RankInput, results: Path) -> Floats:
    """Bootstrap replicates [cells, models, replicates], NaN where a model lacks the cell."""
    found = np.full((len(data.cells), len(data.held), replicates.RESAMPLES), np.nan)
    for i, key in enumerate(data.cells):
        first = None
        for j, own in enumerate(data.held.values()):
            if key in own:
                made = replicates.load_replicates(own[key], results)
                first = first or made
                paired_tests.paired_difference(first, made)  # raises for other images
                found[i, j] = np.array(made.values, np.float64)
    return found


def _ranked(scores: Floats) -> Floats:
    """Ranks along the models' axis, the second; 1 is the highest score."""
    return np.asarray(rankdata(-scores, axis=1))


def _bands(drawn: Floats) -> list[Band]:
    return [Band(*np.nanpercentile(row, [2.5, 97.5]).tolist()) for row in drawn]


def normalised(scores: Floats, floors: Floats) -> Floats:
    """Scale scores [cells, models] to 0 at the floor and 1 at the best; drop cells at the floor.

    >>> normalised(np.array([[60.0, 90.0], [40.0, 50.0]]), np.array([30.0, 50.0]))
    array([[0.5, 1. ]])
    """
    best = scores.max(axis=1)
    some = best > floors
    return np.asarray((scores - floors[:, None])[some] / (best - floors)[some, None])


def iqm(values: Floats) -> float:
    """Return the interquartile mean: a quarter of the values, rounded down, is cut off each end.

    Source: Agarwal et al., Deep RL at the Edge of the Statistical Precipice, arXiv 2108.13264.

    >>> iqm(np.array([0.0, 0.5, 0.6, 10.0]))
    0.55
    """
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


def friedman(ranks: Floats) -> tuple[float, float]:
    """Return statistic and p of Friedman's test, corrected for ties; ranks: [cells, models].

    Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006, 7.
    """
    cells, models = ranks.shape
    spread = ((ranks - (models + 1) / 2) ** 2).sum()
    if not spread:
        return 0.0, 1.0
    between = cells**2 * ((ranks.mean(0) - (models + 1) / 2) ** 2).sum()
    statistic = (models - 1) * between / spread
    return float(statistic), float(chi2.sf(statistic, models - 1))


def nemenyi(models: int, cells: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 5 %.

    Source: as `friedman`, section 3.2.2.

    >>> round(nemenyi(4, 30), 3)
    0.856
    """
    q = studentized_range.ppf(1 - paired_tests.LEVEL, models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(models * (models + 1) / (6 * cells)))


def groups(standings: Sequence[RankRow], critical: float) -> list[list[str]]:
    """Return the maximal groups of models whose mean ranks lie within `critical`, best first."""
    found: list[list[str]] = []
    reached = 0
    for i, first in enumerate(standings):
        inside = [s.model for s in standings[i:] if s.rank - first.rank <= critical]
        if len(inside) > 1 and i + len(inside) > reached:
            found.append(inside)
            reached = i + len(inside)
    return found
