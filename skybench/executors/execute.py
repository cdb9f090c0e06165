"""Runs a schedule: in this process, or by the executor that was asked for."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from skybench.core import Record, UsageError, folders, remote_store
from skybench.core.cache_entries import limited_cache
from skybench.executors.bundles import Events, Executor
from skybench.executors.litter import remove_litter
from skybench.executors.local import run_locally
from skybench.executors.schedule import RunSchedule, make_schedule
from skybench.executors.slots import make_slots
from skybench.plan.cell import Cell, to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.plan.requirements import require_available
from skybench.records import store
from skybench.runner.run_cells import run_available, run_planned
from skybench.training import launch


def execute_request(request: Request) -> list[Record]:
    """Plan, schedule and run a request without a word; return its records, see `execute`."""
    if request.executor != "slurm":  # whose jobs start them
        launch.require_processes(request.devices, request.nodes)
    return execute(request, make_schedule(request, Planner(request).cells()))


@limited_cache()
def execute(
    request: Request,
    schedule: RunSchedule,
    report: Callable[[Cell, str, int, int], None] = lambda *_: None,
    finished: Callable[[Cell, Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[Record]:
    """Run a schedule; return the records in plan order, without those of cells left for later.

    With `fail_fast` those made before the first that failed. Raises SkybenchError as `run_planned`
    does, and at the end where a bundle as a whole could not run.
    """
    with remote_store.synchronised(request.results or folders.results()):
        return _execute(request, schedule, report, finished, fail_fast)


def _execute(
    request: Request,
    schedule: RunSchedule,
    report: Callable[[Cell, str, int, int], None],
    finished: Callable[[Cell, Record], None],
    fail_fast: bool,
) -> list[Record]:
    executor = _executor(request, schedule)
    if schedule.bundles:
        remove_litter(request)  # of a run that was killed
    if executor is None:
        return run_planned(request, schedule.cells, report, finished, fail_fast)
    cells = schedule.cells
    require_available(cells, request)
    records: dict[int, Record] = {}
    quick = [place for place, cell in enumerate(cells) if cell.status != "planned"]
    made = run_available(request, [cells[place] for place in quick], report, finished, fail_fast)
    records.update(zip(quick, made, strict=False))
    if not (fail_fast and any(r.status == "failed" for r in made)):
        executor(schedule.bundles, _events(request, cells, records, report, finished), fail_fast)
    return [records[place] for place in sorted(records)]


def _events(
    request: Request,
    cells: Sequence[Cell],
    records: dict[int, Record],
    report: Callable[[Cell, str, int, int], None],
    finished: Callable[[Cell, Record], None],
) -> Events:
    """What an executor tells, of the cells by their fingerprints; records are kept by place."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, cell in enumerate(cells):
        if cell.status == "planned":
            places[cell.fingerprint].append(place)

    def heard(name: str, stage: str, done: int, total: int) -> None:
        report(cells[places[name][0]], stage, done, total)

    def ended(name: str, record: Record) -> None:
        for place in places[name]:
            records[place] = record
            finished(cells[place], record)

    def lost(name: str, what: str) -> None:
        ended(name, _lost_record(cells[places[name][0]], request, what))

    return Events(heard, ended, lost)


def _lost_record(cell: Cell, request: Request, what: str) -> Record:
    """Store that a cell failed whose process was lost; a measured record of it stays."""
    note = what[:1].upper() + what[1:]
    record = replace(to_record(cell), status="failed", made=store.now(), note=note)
    return store.store_result(record, request.results or folders.results(), None)[0]


def _executor(request: Request, schedule: RunSchedule) -> Executor | None:
    """The executor of a request; None: this process runs the cells one after the other."""
    if request.executor and schedule.bundles and request.executor != "local":
        return _of_cluster(request)
    apart = schedule.slots > 1 or request.timeout or request.budget
    if request.devices * request.nodes > 1:
        if request.jobs not in (-1, 1) or request.timeout or request.budget:
            raise UsageError(
                "--jobs, --timeout and --budget are of cells beside each other, --devices of one "
                "cell on several GPUs."
            )
        return None
    if not apart or not (schedule.bundles or schedule.later):
        return None
    deadline = time.monotonic() + request.budget if request.budget else float("inf")
    return functools.partial(
        run_locally,
        slots=make_slots(request, schedule.slots),
        timeout=request.timeout,
        deadline=deadline,
    )


def _of_cluster(request: Request) -> Executor:
    """The executor of a cluster; what it needs is an extra, and imported only here."""
    name, _, address = request.executor.partition(":")
    if name == "slurm":
        from skybench.executors.slurm import submit_bundles

        return functools.partial(submit_bundles, request=request)
    from skybench.executors.ray_cluster import run_on_ray

    return functools.partial(run_on_ray, request=request, address=address)
