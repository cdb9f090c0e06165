"""Many models on the cells that all of them have: ranks with intervals, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata, studentized_range

from skybench.analysis import bootstrap, comparable, paired_tests
from skybench.analysis.comparable import Ground
from skybench.core import Record, SkybenchError, UsageError
from skybench.records.labels import changed

Floats = NDArray[np.float64]
FLOOR = "image_stats"  # the baseline that sees nothing but means and deviations of channels
IMPUTE = ("", "worst", "floor")  # by what a missing score is replaced; "": by nothing


class Band(NamedTuple):
    """A 95 % percentile bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """One model among the others."""

    model: str
    measured: int  # of the cells that any of the models has
    rank: float  # mean over the cells, 1 is best; equal scores share their mean rank
    over_cells: Band  # cells resampled: would other datasets rank alike?
    over_images: Band | None  # test images resampled: are these scores told apart?
    iqm: float | None  # interquartile mean over cells; 0 is the floor, 1 the best of the models
    gain: float  # mean difference to the other models over the cells, in points
    flags: Sequence[str]


@dataclass(frozen=True)
class Ranking:
    """Models by their mean rank, the best first."""

    protocol: str
    data: str
    cells: Sequence[str]
    lacking: Mapping[str, Sequence[str]]  # cell -> the models that lack it
    imputed: str  # one of IMPUTE; "": cells that some model lacks do not count
    floor: str  # what 0 is in the IQM: "image_stats", "chance", or "" where neither is known
    standings: Sequence[Standing]
    friedman: float  # statistic
    p: float  # that there is no difference between the models at all
    critical: float  # difference of mean ranks that is significant at 5 % (Nemenyi)
    groups: Sequence[Sequence[str]]  # models that lie within it, the largest such groups
    note: str  # why something is missing, "" where nothing is

    def plain(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class Board(NamedTuple):
    """The chosen models and the cells that count."""

    held: Mapping[str, Mapping[Ground, Record]]
    union: Sequence[Ground]
    cells: Sequence[Ground]

    def scores(self) -> Floats:
        """[cells, models], NaN where there is none."""
        rows = [[own[g].main if g in own else None for own in self.held.values()]
                for g in self.cells]  # fmt: skip
        return np.array([[main[1] if main else np.nan for main in row] for row in rows])

    def named(self, cell: Ground) -> str:
        """A cell for a reader."""
        record = next(own[cell] for own in self.held.values() if cell in own)
        return " ".join(filter(None, (str(cell), changed(record))))


def rank(
    records: Sequence[Record],
    results: Path,
    models: Sequence[str] = (),
    task: str = "",
    protocol: str = "",
    impute: str = "",
) -> Ranking:
    """Ranks models; models: as in `peers.entries`, () for all that have trained weights.

    Only cells that all have count, unless missing scores are imputed, by the worst of the others
    ("worst") or by the floor ("floor"). Raises UsageError for fewer than two models or cells, and
    for several protocols, which are never averaged.
    """
    if impute not in IMPUTE:
        raise UsageError(f"Expected --impute worst or floor, but got {impute!r}.")
    board = _board(records, models, task, protocol, bool(impute))
    floors, floor = _floors(board, records)
    if impute == "floor" and not floor:
        raise UsageError(f"Neither {FLOOR} nor chance is known of all cells; impute the worst.")
    images: Sequence[Band | None] = [None] * len(board.held)
    note = ""
    try:
        drawn = _drawn(board, results)
        images = _bands(_ranked(fill(drawn, floors[:, None], impute)).mean(0))
    except SkybenchError as error:
        note = f"No interval over images: {error}."
    scores = fill(board.scores(), floors, impute)
    ranks, normal = _ranked(scores), normalised(scores, floors)
    standings = _standings(board, scores, normal, images)
    critical = nemenyi(*reversed(ranks.shape))
    lacking = {board.named(g): [m for m, own in board.held.items() if g not in own]
               for g in board.union}  # fmt: skip
    return Ranking(
        board.cells[0].protocol, board.cells[0].data, [*map(board.named, board.cells)],
        {cell: models for cell, models in lacking.items() if models}, impute,
        floor if len(normal) else "", standings, *friedman(ranks), critical,
        groups(standings, critical), note,
    )  # fmt: skip


def _standings(
    board: Board, scores: Floats, normal: Floats, images: Sequence[Band | None]
) -> list[Standing]:
    """The models' rows; scores, normal: [cells, models]; images: each model's interval."""
    ranks, count = _ranked(scores), len(board.held)
    weights = next(bootstrap.resamplings(len(ranks), 0, paired_tests.RESAMPLES))
    cells = _bands((weights @ ranks / len(ranks)).T)
    made = [
        Standing(
            model, sum(g in own for g in board.union), float(ranks[:, i].mean()), cells[i],
            images[i], iqm(normal[:, i]) if len(normal) else None,
            float((scores[:, i].mean() - scores.mean()) * count / (count - 1)),
            sorted({flag for g in board.cells if g in own for flag in own[g].flags}),
        )
        for i, (model, own) in enumerate(board.held.items())
    ]  # fmt: skip
    return sorted(made, key=lambda s: (s.rank, s.model))


def _board(
    records: Sequence[Record], models: Sequence[str], task: str, protocol: str, whole: bool
) -> Board:
    """The models' records on real data, or else on demo data; whole: on all cells of any."""
    trained = {r.model for r in records if r.main and not comparable.unusual(r)}
    held = {
        name: {g: r for g, r in comparable.entries(records, name).items()
               if task in ("", g.task) and protocol in ("", g.protocol)}
        for name in models or sorted(trained)
    }  # fmt: skip
    union = sorted(comparable.of_one_kind([*{g for own in held.values() for g in own}]))
    protocols = sorted({g.protocol for g in union})
    if len(protocols) > 1:
        raise UsageError(
            f"Cells of several protocols are never averaged; give --protocol: {protocols}."
        )
    cells = [g for g in union if whole or all(g in own for own in held.values())]
    if len(held) < 2 or len(cells) < 2:
        coverage = ", ".join(f"{m} {sum(g in own for g in union)}" for m, own in held.items())
        raise UsageError(
            f"Ranks need at least 2 models and 2 cells that all have, but there are {len(held)} "
            f"models and {len(cells)} such cells of {len(union)} ({coverage or 'none'}); choose "
            "--models, or --impute what is missing."
        )
    return Board(held, union, cells)


def _floors(board: Board, records: Sequence[Record]) -> tuple[Floats, str]:
    """Each cell's score of the floor, of one kind for all cells, and its name; "" for none."""
    own = sorted((r for r in records if r.model == FLOOR), key=lambda r: r.made)
    simple = {comparable.ground_of(r): r.main[1] for r in own if r.main}  # the newest
    if all(g in simple for g in board.cells):
        return np.array([simple[g] for g in board.cells]), FLOOR
    known = {g: r.used["chance"] for own in board.held.values() for g, r in own.items()
             if "chance" in r.used}  # fmt: skip
    if all(g in known for g in board.cells):
        return np.array([known[g] for g in board.cells]), "chance"
    return np.full(len(board.cells), np.nan), ""


def fill(scores: Floats, floors: Floats, impute: str) -> Floats:
    """Scores [cells, models, ...] with what is missing replaced; floors: [cells, ...]."""
    if not impute:
        return scores
    worst = np.fmin.reduce(scores, axis=1)
    known = worst if impute == "worst" else np.broadcast_to(floors, worst.shape)
    return np.where(np.isnan(scores), known[:, None], scores)


def _drawn(board: Board, results: Path) -> Floats:
    """Resampled scores [cells, models, resamples], NaN where a model lacks the cell."""
    found = np.full((len(board.cells), len(board.held), paired_tests.RESAMPLES), np.nan)
    for i, ground in enumerate(board.cells):
        first = None
        for j, own in enumerate(board.held.values()):
            if ground in own:
                made = paired_tests.load(own[ground], results)
                first = first or made
                paired_tests.difference(first, made)  # raises for other images
                found[i, j] = np.array(made.values, np.float64)
    return found


def _ranked(scores: Floats) -> Floats:
    """Ranks along the models' axis, the second; 1 is the highest score."""
    return np.asarray(rankdata(-scores, axis=1))


def _bands(drawn: Floats) -> list[Band]:
    return [Band(*np.nanpercentile(row, [2.5, 97.5]).tolist()) for row in drawn]


def normalised(scores: Floats, floors: Floats) -> Floats:
    """Scores [cells, models] with 0 at the floor and 1 at the best; cells without such are out.

    >>> normalised(np.array([[60.0, 90.0], [40.0, 50.0]]), np.array([30.0, 50.0]))
    array([[0.5, 1. ]])
    """
    best = scores.max(axis=1)
    some = best > floors
    return np.asarray((scores - floors[:, None])[some] / (best - floors)[some, None])


def iqm(values: Floats) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is cut off each end.

    Source: Agarwal et al., Deep RL at the Edge of the Statistical Precipice, arXiv 2108.13264.

    >>> iqm(np.array([0.0, 0.5, 0.6, 10.0]))
    0.55
    """
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


def friedman(ranks: Floats) -> tuple[float, float]:
    """Statistic and p of Friedman's test, corrected for ties; ranks: [cells, models].

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
    """The critical difference of mean ranks at 5 %; source: as `friedman`, section 3.2.2.

    >>> round(nemenyi(4, 30), 3)
    0.856
    """
    q = studentized_range.ppf(1 - paired_tests.LEVEL, models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(models * (models + 1) / (6 * cells)))


def groups(standings: Sequence[Standing], critical: float) -> list[list[str]]:
    """The largest groups of models, the best first, whose mean ranks all lie within `critical`."""
    found: list[list[str]] = []
    reached = 0
    for i, first in enumerate(standings):
        inside = [s.model for s in standings[i:] if s.rank - first.rank <= critical]
        if len(inside) > 1 and i + len(inside) > reached:
            found.append(inside)
            reached = i + len(inside)
    return found
