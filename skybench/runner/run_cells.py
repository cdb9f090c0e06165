"""The runner: gives the record of each planned cell, stored or measured anew.

`cell_run`, which brings torch, is imported where a cell must run: a finished grid starts without.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from skybench.core import Record, SkybenchError, Status, UsageError, folders
from skybench.plan.cell import Cell, to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.plan.requirements import require_available
from skybench.records import store
from skybench.training.launch import require_processes

Report = Callable[[str, int, int], None]


def run_cells(request: Request) -> list[Record]:
    """Plan and run a request; return the records of all its cells, in plan order."""
    require_processes(request.devices, request.nodes)
    return run_planned(request, Planner(request).cells())


def run_planned(
    request: Request,
    cells: Sequence[Cell],
    report: Callable[[Cell, str, int, int], None] = lambda *_: None,
    finished: Callable[[Cell, Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[Record]:
    """Run the cells that are not done; a cell that raises gives a `failed` record.

    Raises SkybenchError before anything starts where weights, or data asked for by name, are
    missing. Of data asked for by name that cannot be read the cells fail, and the others run.
    """
    require_available(cells, request)
    return run_available(request, cells, report, finished, fail_fast)


def run_available(
    request: Request,
    cells: Sequence[Cell],
    report: Callable[[Cell, str, int, int], None] = lambda *_: None,
    finished: Callable[[Cell, Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[Record]:
    """Like `run_planned`, of some cells of a plan of which it is known that others can run."""
    results = request.results or folders.results()
    # Decided before any process writes: all must go the same way.
    known = {c.fingerprint: _settled(c, results, request.force) for c in cells}
    left = [c for c in cells if known[c.fingerprint] is None and c.status != "unavailable"]
    run = _runner(request, cells, results) if left else None
    settle = _strict if request.strict else lambda record: record
    made = []
    for cell in cells:
        if (old := known[cell.fingerprint]) is not None:
            made.append(settle(old))
            continue
        if run is None or cell.status == "unavailable":
            record = settle(_without_inputs(cell, request))
        else:
            record = settle(run(cell, functools.partial(report, cell)))
        made.append(record)
        finished(cell, record)
        several = request.devices * request.nodes > 1
        if record.status == "failed" and several and cell.status == "planned":
            raise SkybenchError(record.note)  # the processes no longer agree on what is next
        if fail_fast and record.status == "failed":
            break
    return made


def stored_result(cell: Cell, request: Request) -> Record | None:
    """Return the result of a cell that another run has stored since the plan was made."""
    results = request.results or folders.results()
    known = None if request.force else store.find_record(results, to_record(cell).path)
    there = known is not None and known.came_out and known.fingerprint == cell.fingerprint
    return known if there else None


def _runner(
    request: Request, cells: Sequence[Cell], results: Path
) -> Callable[[Cell, Report], Record]:
    """What runs a cell, after the checks that all of them share."""
    from skybench.runner import cell_run
    from skybench.training.log import require_tensorboard

    if request.tensorboard:
        require_tensorboard()
    _require_writable(results)
    base = cell_run.shared_context(request, cells)
    return lambda cell, report: cell_run.run_unlocked(cell, base._replace(report=report), request)


def _strict(record: Record) -> Record:
    from skybench.checks import flags

    return flags.strict(record)


def _without_inputs(cell: Cell, request: Request) -> Record:
    """The record of a cell whose weights or data are not there; it is not stored."""
    status: Status = "failed" if request.datasets else "cannot run"
    return replace(to_record(cell), status=status, made=store.now())


def _require_writable(results: Path) -> None:
    """Raises UsageError where no record could be written: not only after hours of training."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise UsageError(
            f"Records cannot be written to {results} ({error.strerror}); name another folder by "
            "--results or SKYBENCH_RESULTS"
        ) from error


def _settled(cell: Cell, results: Path, force: bool) -> Record | None:
    """The stored record of a cell that need not run again."""
    settled = cell.status == "done" or (cell.status == "cannot run" and not force)
    return store.find_record(results, to_record(cell).path) if settled else None
