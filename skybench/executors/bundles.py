"""Bundles: the cells of one model on one dataset, as plain JSON, and how a worker runs them.

A bundle names its cells by their fingerprints and carries the request that gives them. A worker
plans that request itself, so that nothing but text passes between machines, and a cell whose files,
code or options are no longer those of the plan is refused and not run as another one.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core import Record, SkybenchError, folders, registry
from skybench.core.fingerprint import fingerprint
from skybench.core.loaded import WHICH
from skybench.core.version import __version__
from skybench.plan import named_recipes
from skybench.plan.cell import Cell, affecting
from skybench.plan.planner import Planner
from skybench.plan.request import AUTO, Request, network_settings_of
from skybench.runner.run_cells import run_planned, stored_result

PLANNING, STARTING = "planning", "start"  # stages that `run_bundle` reports by itself

Report = Callable[[str, str, int, int], None]  # fingerprint of a cell, stage, done, total
Finished = Callable[[str, Record], None]  # fingerprint of a cell, its record
Estimate = Callable[[Cell], float | None]  # seconds of a cell; None: unknown


class Events(NamedTuple):
    """What an executor tells of the cells that it has placed, by their fingerprints."""

    report: Report
    finished: Finished
    lost: Callable[[str, str], None]  # a cell that gave no record, after all tries: what happened


# Runs all bundles and tells each cell once: finished, or lost. It goes on where a bundle as a whole
# cannot run, and raises SkybenchError for it at the end; on any other exception, KeyboardInterrupt
# and SystemExit too, it stops what it has started. With True it stops at the first failed record.
Executor = Callable[[Sequence["Bundle"], Events, bool], None]


@dataclass(frozen=True)
class Bundle:
    """Cells that one process runs one after the other: weights and features are made once.

    Its request is narrowed to its model, dataset and tasks; folders are absolute paths.
    """

    request: Request
    fingerprints: tuple[str, ...]
    seconds: float | None = None  # estimated, of all its cells; None: unknown
    gpus: int = 0
    cpus: int = 1

    @property
    def model(self) -> str:
        """The model of all its cells."""
        return self.request.models[0]

    @property
    def dataset(self) -> str:
        """The dataset of all its cells, as it was asked for."""
        return self.request.datasets[0]

    @property
    def name(self) -> str:
        """A short name, unique within a plan, of letters that file names may have."""
        plain = f"{self.model}.{self.dataset.partition(':')[0]}"
        return f"{plain}.{fingerprint({'cells': list(self.fingerprints)})[:8]}"

    def only(self, fingerprints: Sequence[str]) -> Bundle:
        """Return the bundle with some of its cells, and a share of its seconds."""
        share = len(fingerprints) / max(1, len(self.fingerprints))
        seconds = None if self.seconds is None else self.seconds * share
        return replace(self, fingerprints=tuple(fingerprints), seconds=seconds)

    def to_json(self) -> str:
        """Return the bundle as JSON, with the version of skybench."""
        request = dataclasses.asdict(self.request)
        request["results"] = str(self.request.results)
        return json.dumps({
            "skybench": __version__, "request": request, "fingerprints": self.fingerprints,
            "seconds": self.seconds, "gpus": self.gpus, "cpus": self.cpus,
        })  # fmt: skip


def bundle_from_json(text: str) -> Bundle:
    """Return the bundle that `Bundle.to_json` wrote. Raises SkybenchError for another version."""
    raw = json.loads(text)
    if raw["skybench"] != __version__:
        raise SkybenchError(
            f"The cells were planned by skybench {raw['skybench']}, and this is {__version__}; "
            "install the same version on all machines, or plan again."
        )
    return Bundle(
        Request(**raw["request"]), tuple(raw["fingerprints"]), raw["seconds"], raw["gpus"],
        raw["cpus"],
    )  # fmt: skip


def bundles(
    request: Request, cells: Sequence[Cell], estimate: Estimate = lambda _: None
) -> list[Bundle]:
    """Return the planned cells by model, variant and dataset, in plan order, each cell once."""
    found: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for cell in cells:
        if cell.status == "planned":
            place = (cell.model.name, cell.variant, cell.dataset)
            found.setdefault(place, {}).setdefault(cell.fingerprint, cell)
    gpus = 0 if request.device == "cpu" else request.devices
    made = []
    for members in found.values():
        seconds = [estimate(cell) for cell in members.values()]
        known = [s for s in seconds if s is not None]
        total = sum(known) if len(known) == len(seconds) else None
        narrow = narrowed_request(request, [*members.values()])
        made.append(Bundle(narrow, tuple(members), total, gpus))
    return made


def narrowed_request(request: Request, cells: Sequence[Cell]) -> Request:
    """Return the request of cells of one model on one dataset, with absolute paths."""
    first = cells[0]
    model, card = first.model.name, registry.dataset(first.dataset_id).CARD
    tasks = {cell.task.name: cell.task for cell in cells}
    settings = {WHICH, *network_settings_of(model)}
    asked = [(text, named_recipes.parse_asked(text)) for text in request.recipes]
    weights = {registry.resolve("baselines", n) if n else n: w for n, w in request.weights.items()}
    return replace(
        request,
        models=[model],
        tasks=[*tasks],
        datasets=[f"{first.dataset_id}:{first.folder}" if first.folder else first.dataset],
        recipes=[text for text, a in asked if any(a.fits(t, card) for t in tasks.values())],
        arch={n: v for n, v in request.arch.items() if n in settings},
        weights={n: _absolute(w) for n, w in weights.items() if n in ("", model)},
        data=request.data if request.data in ("", "demo") else _absolute(request.data),
        results=(request.results or folders.results()).absolute(),
        jobs=1,
        timeout=0,
        budget=0,
        shard="",
        executor="",
        resources={},
    )


def _absolute(path: str) -> str:
    """The absolute path of what is there; other text, as "random", unchanged."""
    place = Path(path).expanduser()
    return str(place.absolute()) if place.exists() else path


def run_bundle(
    bundle: Bundle,
    report: Report = lambda *_: None,
    finished: Finished = lambda *_: None,
    fail_fast: bool = False,
    planner: Planner | None = None,
) -> list[Record]:
    """Run the cells of a bundle that are not in the store; `finished` hears of every cell.

    planner: one whose opened datasets and weights are used again, in a process that runs several
    bundles of one request. A cell that raises gives a `failed` record.
    Raises SkybenchError where a cell is not that of the plan, and where nothing can run.
    """
    report(bundle.fingerprints[0], PLANNING, 0, 1)
    cells = _planned_cells(bundle, planner or Planner(bundle.request))
    records = []
    for name in bundle.fingerprints:
        report(name, STARTING, 0, 1)
        cell = cells[name]
        known = stored_result(cell, bundle.request)
        told = functools.partial(_told, report, name)
        record = known or run_planned(bundle.request, [cell], told)[0]
        records.append(record)
        finished(name, record)
        if fail_fast and record.status == "failed":
            break
    return records


def _told(report: Report, name: str, _: Cell, stage: str, done: int, total: int) -> None:
    report(name, stage, done, total)


def _planned_cells(bundle: Bundle, planner: Planner) -> Mapping[str, Cell]:
    """The cells of a bundle by the fingerprints of its plan. Raises SkybenchError."""
    cells = planner.cells()
    found = {name: cell for cell in cells for name in _names(cell, bundle.request)}
    missing = [name for name in bundle.fingerprints if name not in found]
    if missing:
        reasons = {c.reason for c in cells if c.reason} or {
            "its data, weights, options or the code have changed since, or the machines differ "
            "(--precision auto needs the same GPU where the plan is made)"
        }
        raise SkybenchError(
            f"{len(missing)} of {len(bundle.fingerprints)} cells of {bundle.model} on "
            f"{bundle.dataset} are not those that were planned ({', '.join(sorted(reasons))}). "
            "Run the command again to plan anew."
        )
    return found


def _names(cell: Cell, request: Request) -> list[str]:
    """The fingerprints by which a cell may be called.

    Where the precision is measured, the plan was made before, and another cell may have measured.
    """
    names = [cell.fingerprint]
    if request.precision == AUTO and cell.splits and not cell.protocol.trains_backbone:
        before: Any = replace(cell, recipe=replace(cell.recipe, precision=AUTO))
        names.append(fingerprint(affecting(before)))
    return names
