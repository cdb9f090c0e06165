"""The runner: measures the planned cells and writes a record for each."""

from __future__ import annotations

import datetime
import functools
import math
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from skybench.analysis.intervals import uncertainty
from skybench.checks import flags
from skybench.checks.selection import best_state
from skybench.core import (
    CannotRun,
    FitContext,
    Metric,
    Record,
    SkybenchError,
    Status,
    UsageError,
    folders,
    score_info,
)
from skybench.core.dataset import groups_of
from skybench.core.errors import error_text
from skybench.plan.cell import Cell, to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.plan.requirements import require_available
from skybench.records import predictions, store
from skybench.records.labels import DEMO
from skybench.report import training_curve
from skybench.report.pictures import Pictures
from skybench.runner import provenance
from skybench.runner.energy import Meter
from skybench.runner.peak_memory import PeakMemory
from skybench.runner.score_fields import (
    score_fields,
    state_facts,
    stated_infos,
    uncertainty_facts,
)
from skybench.runner.seed_run import run_seed
from skybench.training import checkpoints, distributed
from skybench.training.log import LOG, require_tensorboard

PICTURES = 4  # of the test samples of a fine-tuned cell, by default


def pick_device(wanted: str) -> str:
    """Return "cuda" if available, else "cpu". Raises UsageError if CUDA is asked for and absent."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"No device {wanted!r}. Known: auto, cpu, cuda.")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError("No CUDA device was found; give --device cpu, or see `skybench doctor`.")
    return "cuda" if there and wanted != "cpu" else "cpu"


def run_cells(request: Request) -> list[Record]:
    """Plan and run a request; return the records of all its cells, in plan order."""
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
    if request.tensorboard:
        require_tensorboard()
    device = pick_device(request.device)
    results = request.results or folders.results()
    settle = flags.strict if request.strict else lambda record: record
    # Decided before any process writes: all must go the same way.
    known = {c.fingerprint: _settled(c, results, request.force) for c in cells}
    if any(known[c.fingerprint] is None and c.status != "unavailable" for c in cells):
        _require_writable(results)
    base = _base(request, device, cells)
    made = []
    for cell in cells:
        if (old := known[cell.fingerprint]) is not None:
            made.append(settle(old))
            continue
        record = settle(_run(cell, base._replace(report=functools.partial(report, cell)), request))
        made.append(record)
        finished(cell, record)
        several = base.workers is not None and base.workers.size > 1
        if record.status == "failed" and several and cell.status == "planned":
            raise SkybenchError(record.note)  # the processes no longer agree on what is next
        if fail_fast and record.status == "failed":
            break
    return made


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


def _base(request: Request, device: str, cells: Sequence[Cell]) -> FitContext:
    """The context shared by all cells; starts the processes of distributed training."""
    planned = [c.protocol for c in cells if c.status == "planned"]
    several = (request.devices, request.nodes) != (1, 1)
    if several and not all(protocol.trains_backbone for protocol in planned):
        raise UsageError(
            "Several devices train one network together, which only a protocol that trains the "
            "backbone does, as --protocol finetune; for others run parts of the table on each "
            "device and join them: skybench merge"
        )
    return FitContext(
        0,
        device,
        workers=distributed.start_processes(request.devices, device, request.nodes),
        micro_batch=request.micro,
        recompute_activations=request.recompute,
        keep_weights=request.keep_weights,
        tensorboard=request.tensorboard,
    )


def _run(cell: Cell, base: FitContext, request: Request) -> Record:
    """Run a cell unless another process holds its training lock.

    Then return a placeholder and write nothing.
    """
    if cell.status == "unavailable":
        status: Status = "failed" if request.datasets else "cannot run"
        return replace(to_record(cell), status=status, made=_now())
    if cell.status == "cannot run" or not cell.protocol.trains_stepwise:
        return _run_alone(cell, base, request)
    results, path = request.results or folders.results(), to_record(cell).path
    folder = (results / path).with_suffix("")
    with checkpoints.training_lock(folder, base.workers or distributed.SINGLE_PROCESS) as busy:
        if busy:
            return replace(to_record(cell), note=busy, made=_now())
        found = None if request.force else store.find_record(results, path)
        if found is not None and found.fingerprint == cell.fingerprint and found.came_out:
            return found  # by another run, since the plan was made
        return _run_alone(cell, base._replace(folder=folder), request)


def _run_alone(cell: Cell, base: FitContext, request: Request) -> Record:
    """Run a cell and write its record, with pictures, predictions and logs beside it."""
    results = request.results or folders.results()
    path = results / to_record(cell).path
    folder = path.with_suffix("")
    writes = base.workers is None or base.workers.rank == 0
    learns = cell.status != "cannot run" and cell.protocol.trains_backbone
    pictures = (PICTURES if learns else 0) if request.draw < 0 else request.draw
    draw = Pictures(pictures, folder, cell.splits["test"]) if cell.splits and writes else None
    # Of this process alone: another one may run the same cell.
    new = path.with_name(f".{path.stem}.{os.getpid()}.npz.tmp")
    keep = new if request.predictions and writes else None
    trainings = [folder / f"seed{n}" for n in range(cell.recipe.seeds)]
    if request.force:  # from the start
        for training in trainings:
            checkpoints.remove_checkpoints(training)
    record = run_cell(cell, base, results, draw, keep)
    if not writes:
        return record
    record, stored = store.store_result(record, results, keep)
    if not stored:
        return record
    logs = [t / LOG for t in trainings if (t / LOG).is_file()]
    if record.came_out:
        for training in trainings:
            checkpoints.remove_checkpoints(training)
    if logs and learns:
        demo = f", {DEMO}" if cell.demo else ""
        title = f"{cell.model.name} on {cell.dataset_id} {cell.recipe.label}".strip() + demo
        scored_on = best_state(cell).removeprefix("best-on-").replace("val", "validation")
        training_curve.write_training_curve(logs, folder / "curve.png", title, scored_on)
    return record


def run_cell(
    cell: Cell,
    base: FitContext,
    results: Path,
    draw: Pictures | None = None,
    keep: Path | None = None,
) -> Record:
    """Run one cell; an exception goes into the record and is never raised.

    base: the context of all seeds; its folder is the cell's.
    """
    blank = replace(to_record(cell), made=_now())
    if cell.status == "cannot run":
        return blank
    try:
        return flags.with_flags(measure_cell(cell, base, draw, keep), cell, results)
    except CannotRun as error:
        return replace(blank, note=str(error))
    except Exception as error:  # a cell may break in any way and must not take others with it
        trace = traceback.format_exc()
        return replace(blank, status="failed", note=error_text(error), traceback=trace)


def measure_cell(
    cell: Cell, base: FitContext, draw: Pictures | None = None, keep: Path | None = None
) -> Record:
    """Extract features, fit and score every seed of a cell; for flags see `flags.with_flags`.

    draw: draws predictions of the first seed. keep: the file for the metric's state of all seeds.
    """
    start, meter, memory = time.perf_counter(), Meter(base.device), PeakMemory(base.device)
    outcomes = [
        run_seed(cell, _of_seed(base, seed), None if seed else draw)
        for seed in range(cell.recipe.seeds)
    ]
    every = [o.metric.scores() if cell.scored else {} for o in outcomes]
    first, metrics = outcomes[0], [o.metric for o in outcomes]
    infos = {name: score_info(first.metric, name) for name in every[0]}
    groups = groups_of(cell.splits["test"])
    sure = uncertainty(metrics, groups if cell.scored else ())
    kept = _keep(cell, keep, metrics) if keep else 0
    spent = time.perf_counter() - start
    return replace(
        to_record(cell),
        status="measured" if cell.scored else "predicted",
        note="",
        **score_fields(cell, outcomes, every, infos, sure.intervals),
        samples=first.samples,
        used={
            **to_record(cell).used,
            **provenance.used_facts(cell, first.model, base.device),
            "chance": first.metric.chance(),
            **uncertainty_facts(sure, infos),
            "features": first.features,
            "prediction_bytes": kept,  # 0: not kept
            **stated_infos(infos),
            **state_facts(cell, outcomes, every, infos),
            **_notes(cell, first.metric),
        },
        cost=provenance.cost_facts(first.model, first.timing, spent, meter, memory),
        made=_now(),
    )


def _notes(cell: Cell, metric: Metric) -> dict[str, Any]:
    """What the readers noticed about the files, then what the metric did about the scores."""
    said = tuple(getattr(metric, "notes", tuple)()) if cell.scored else ()
    notes = [*to_record(cell).used.get("notes", ()), *said]
    return {"notes": notes} if notes else {}


def _keep(cell: Cell, path: Path, metrics: Sequence[Metric]) -> int:
    """Keep the predictions of all seeds in a file; return its bytes, 0 where it is too large."""
    budget = predictions.MAX_PREDICTION_BYTES if cell.scored else math.inf
    test = cell.splits["test"]
    units = groups_of(test)
    return predictions.save_predictions(path, test.keys, metrics, budget, units, cell.fingerprint)


def _of_seed(base: FitContext, seed: int) -> FitContext:
    folder = base.folder and base.folder / f"seed{seed}"
    return base._replace(seed=seed, folder=folder)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
