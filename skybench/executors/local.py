"""Runs cells in several processes of this machine, each with its share of the cores.

A bundle is the cells of one model on one dataset: a process loads the weights and extracts the
features once for them. Every process plans the request itself; nothing but the numbers of cells,
progress and finished records passes between them.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from skybench.core import Record, SkybenchError, UsageError
from skybench.plan.cell import Cell
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.plan.requirements import require_available
from skybench.runner.run_cells import run_planned

PAUSE = 0.5  # seconds between two reports of progress of a process
THREADS = "OMP_NUM_THREADS"

Tell = Callable[[Cell, str, int, int], None]
_CHILD: dict[str, Any] = {}  # of a child process: its request, cells, and the way to the parent


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def bundles(cells: Sequence[Cell]) -> list[list[int]]:
    """Return the positions of the planned cells by model and dataset, in plan order."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for place, cell in enumerate(cells):
        if cell.status == "planned":
            found.setdefault((cell.model.name, cell.variant, cell.dataset), []).append(place)
    return list(found.values())


def run_in_processes(
    request: Request,
    cells: Sequence[Cell],
    report: Tell = lambda *_: None,
    finished: Callable[[Cell, Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[Record]:
    """Run the cells that are not done in `request.jobs` processes (0: one a core).

    Returns all records in plan order, or with `fail_fast` those made before the first that failed.
    Raises SkybenchError as `run_planned` does, and where a process is killed: what it had finished
    is kept, and the same command goes on from there.
    """
    if request.devices * request.nodes > 1:
        raise UsageError("--jobs runs cells beside each other, --devices one cell on several GPUs.")
    require_available(cells, request)
    waiting = bundles(cells)
    jobs = min(request.jobs or usable_cores(), len(waiting))
    if jobs < 2:
        return run_planned(request, cells, report, finished, fail_fast)
    planned = {place for bundle in waiting for place in bundle}
    quick = [place for place in range(len(cells)) if place not in planned]
    made = run_planned(request, [cells[place] for place in quick], report, finished, fail_fast)
    records = dict(zip(quick, made, strict=False))
    if fail_fast and any(r.status == "failed" for r in made):
        return made

    def told(place: int, *what: Any) -> None:
        if isinstance(what[0], Record):
            records[place] = what[0]
            finished(cells[place], what[0])
        else:
            report(cells[place], *what)

    with _children(request, jobs, told) as pool:
        _wait([pool.submit(_run_bundle, bundle, fail_fast) for bundle in waiting], fail_fast)
    return [records[place] for place in sorted(records)]


def _wait(futures: Sequence[Future[bool]], fail_fast: bool) -> None:
    """Wait for all bundles, or for the first that failed. Raises SkybenchError."""
    try:
        for future in as_completed(futures):
            if future.result() and fail_fast:
                return
    except BrokenProcessPool as error:
        raise SkybenchError(
            "A process that ran cells was killed, perhaps for want of memory; finished cells are "
            "kept. Run the same command again, with fewer --jobs"
        ) from error


@contextmanager
def _children(
    request: Request, jobs: int, told: Callable[..., None]
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes whose messages go to `told`, in a thread; none of them is left behind."""
    # A fork would copy the threads' locks of torch, and cannot use a GPU.
    context = multiprocessing.get_context("spawn")
    messages = context.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(messages, told), daemon=True)
    pool = ProcessPoolExecutor(jobs, context, _begin, (request, messages))
    listener.start()
    with _threads_each(max(1, usable_cores() // jobs)):
        try:
            yield pool
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            messages.put(None)
            listener.join()


@contextmanager
def _threads_each(count: int) -> Iterator[None]:
    """Let processes that start now compute with so many threads, unless the user said how many."""
    stated = THREADS in os.environ
    os.environ.setdefault(THREADS, str(count))
    try:
        yield
    finally:
        if not stated:
            del os.environ[THREADS]


def _listen(messages: Any, told: Callable[..., None]) -> None:
    while (message := messages.get()) is not None:
        told(*message)


def _begin(request: Request, messages: Any) -> None:
    """Plan the request in a child process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    _CHILD.update(request=request, cells=Planner(request).cells(), messages=messages)


def _run_bundle(places: Sequence[int], fail_fast: bool) -> bool:
    """Run cells of the plan in a child process; return whether one failed."""
    request, cells, messages = (_CHILD[name] for name in ("request", "cells", "messages"))
    failed = False
    for place in places:
        report = functools.partial(_report, messages, place, [0.0])
        (record,) = run_planned(request, [cells[place]], report)
        messages.put((place, record))
        failed = failed or record.status == "failed"
        if failed and fail_fast:
            break
    return failed


def _report(
    messages: Any, place: int, last: list[float], _: Cell, stage: str, done: int, total: int
) -> None:
    if time.monotonic() - last[0] >= PAUSE or done == total:
        last[0] = time.monotonic()
        messages.put((place, stage, done, total))
