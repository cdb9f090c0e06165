"""How long cells take, by the records of earlier ones, and how much time a run still needs.

Nothing here has to be right: estimates order cells, cut a run to a budget, and tell the time left,
which is corrected by what the cells of the run take.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from skybench.core import Recipe, Record, registry
from skybench.executors.bundles import STARTING
from skybench.plan.cell import Cell
from skybench.records import store

READ = 2  # records of a model on a dataset, and datasets of a model, that an estimate rests on
START = 2.0  # seconds of a cell of which nothing is known, for whatever it is
# Seconds a sample without a network, and a parameter: a guess, right to a factor of ten, which
# tells a long cell from a short one.
SAMPLE, PARAMETER = 0.002, 1e-10


class CellKind(NamedTuple):
    """What cells of about the same cost have in common."""

    task: str
    dataset: str
    model: str
    protocol: str


class Estimates:
    """Estimates cells by the records below a results folder, of which it reads few."""

    def __init__(
        self, results: Path, forecast: Callable[[Cell], float | None] = lambda _: None
    ) -> None:
        """forecast: seconds of a cell like which none is stored; None: they are guessed."""
        self.results, self.forecast = results, forecast
        self.rates: dict[CellKind, float | None] = {}
        self.guessed = 0  # cells of which nothing like it was run before

    @functools.cached_property
    def files(self) -> dict[CellKind, list[Path]]:
        """The files of the records, listed where a cell must be estimated."""
        found: dict[CellKind, list[Path]] = defaultdict(list)
        for path in sorted(self.results.glob("*/*/*.json")):
            model, _, rest = path.name.partition(".")
            if model:  # no hidden file
                folder = path.parent
                kind = CellKind(folder.parent.name, folder.name, model, rest.partition(".")[0])
                found[kind].append(path)
        return found

    @functools.cached_property
    def others(self) -> dict[CellKind, list[CellKind]]:
        """Cells of all datasets, by their kind without one."""
        found: dict[CellKind, list[CellKind]] = defaultdict(list)
        for kind in self.files:
            found[kind._replace(dataset="")].append(kind)
        return found

    def __call__(self, cell: Cell) -> float:
        """Return the seconds of a cell, by what it has to read and train.

        At the rate of the same model and dataset under this protocol, else of the model on others,
        else by the forecast, else a guess, which is counted.
        """
        steps = in_steps(cell)
        kind = CellKind(cell.task.name, cell.dataset_id, cell.model.name, cell.recipe.protocol)
        rate = self._rate(kind, steps)
        if rate is None:
            alike = self.others.get(kind._replace(dataset=""), [])[:READ]
            found = [r for other in alike if (r := self._rate(other, steps)) is not None]
            rate = statistics.median(found) if found else None
        if rate is None:
            forecast = self.forecast(cell)
            if forecast is not None:
                return START + forecast
            self.guessed += 1
            return START + guessed_seconds(cell, _found(cell))
        return rate * work_of(cell.recipe, _found(cell), steps)

    def _rate(self, kind: CellKind, steps: bool) -> float | None:
        """Seconds a unit of work; None: no record tells.

        The highest: others found the features made already.
        """
        if kind not in self.rates:
            found = [_rate_of(path, steps) for path in self.files.get(kind, [])[-READ:]]
            self.rates[kind] = max((rate for rate in found if rate is not None), default=None)
        return self.rates[kind]


def _found(cell: Cell) -> Mapping[str, int]:
    """The samples of a cell by role, as they were found."""
    return {role: len(s) for role, s in cell.splits.items()} or published_counts(cell)


def guessed_seconds(cell: Cell, samples: Mapping[str, int] | None = None) -> float:
    """Return a guess of a cell's seconds that depends on no record and no machine.

    samples: by role; None: as published, whatever is found on this machine.
    """
    steps = in_steps(cell)
    passes = 3 if steps and cell.protocol.trains_backbone else 1  # forward and backward
    each = SAMPLE + PARAMETER * cell.model.params * passes
    return each * work_of(cell.recipe, samples or published_counts(cell), steps)


def published_counts(cell: Cell) -> dict[str, int]:
    """Return the samples of a cell by role, as published, at most its limit.

    Not those that were found: parts of a plan must be the same on every machine.
    """
    published = registry.dataset(cell.dataset_id).CARD.splits
    names = {"train": cell.recipe.train, "val": cell.recipe.val, "test": cell.recipe.test}
    usual = max(published.values(), default=1000)  # of a user's folder none is published
    counts = {role: published.get(name, usual) for role, name in names.items() if name}
    most = cell.recipe.limit
    return {role: min(count, most) if most else count for role, count in counts.items()}


def work_of(recipe: Recipe, samples: Mapping[str, int], steps: bool) -> float:
    """Return the samples that a cell reads, all that its training repeats counted as well."""
    passes: float = sum(samples.values())
    if steps:
        train = max(1, round(samples.get("train", 1) * recipe.fraction))
        passes += recipe.steps(train) * max(1, recipe.batch) * recipe.seeds
    return max(1.0, passes)


def in_steps(cell: Cell) -> bool:
    """Whether a cell trains in steps; not where its task lacks the protocol."""
    return cell.recipe.protocol in cell.task.protocols and cell.protocol.trains_stepwise


def _rate_of(path: Path, steps: bool) -> float | None:
    """Seconds a unit of work of a stored record; None where it does not tell."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = store.parse_record(path.read_text(encoding="utf-8"))
        if record.came_out:
            work = work_of(_recipe_of(record), record.samples, steps)
            return float(record.cost["wall_s"]) / work
    return None


def _recipe_of(record: Record) -> Recipe:
    known = {f.name for f in dataclasses.fields(Recipe)}
    return Recipe(**{name: value for name, value in record.recipe.items() if name in known})


class TimeLeft:
    """The time that a run still needs, by estimates and by how they have held so far."""

    def __init__(
        self,
        seconds: Mapping[str, float],
        slots: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """seconds: of each cell that is to run, by fingerprint. slots: of cells side by side."""
        self.seconds, self.slots, self.clock = dict(seconds), max(1, slots), clock
        self.started: dict[str, float] = {}
        self.expected = self.spent = 0.0  # of the cells that have ended

    def start(self, fingerprint: str, stage: str) -> None:
        """Note that a cell runs; one whose process was lost starts once more."""
        if stage == STARTING or fingerprint not in self.started:
            self.started[fingerprint] = self.clock()
            self.slots = max(self.slots, len(self.started))  # a cluster has more than was known

    def finish(self, fingerprint: str) -> None:
        """Note that a cell has ended."""
        expected = self.seconds.pop(fingerprint, None)
        begun = self.started.pop(fingerprint, None)
        if expected is not None and begun is not None:
            self.expected += expected
            self.spent += self.clock() - begun

    def left(self) -> float | None:
        """Return the seconds left; None before the first cell has ended."""
        if not self.expected:
            return None
        ratio, now = self.spent / self.expected, self.clock()
        left = [
            max(0.0, expected * ratio - (now - self.started.get(name, now)))
            for name, expected in self.seconds.items()
        ]
        return max(sum(left) / self.slots, max(left, default=0.0))
