"""Runs one cell: every seed of it is fitted and scored, and its record written."""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from skybench.analysis.intervals import uncertainty
from skybench.analysis.replicates import save_replicates
from skybench.checks import flags
from skybench.checks.selection import best_state
from skybench.core import (
    CannotRun,
    FitContext,
    Metric,
    Record,
    UsageError,
    folders,
    score_info,
)
from skybench.core.atomic import temporary_beside
from skybench.core.dataset import groups_of
from skybench.core.errors import error_text
from skybench.plan.cell import Cell, to_record
from skybench.plan.request import AUTO, Request
from skybench.records import predictions, store
from skybench.records.labels import DEMO
from skybench.report.pictures import Pictures
from skybench.runner import provenance
from skybench.runner.cell_features import require_unchanged
from skybench.runner.device import pick_device
from skybench.runner.energy import Meter
from skybench.runner.peak_memory import PeakMemory
from skybench.runner.precision_run import settle_precision
from skybench.runner.score_fields import (
    score_fields,
    state_facts,
    stated_infos,
    uncertainty_facts,
)
from skybench.runner.seed_run import Shared, run_seed
from skybench.training import checkpoints, distributed
from skybench.training.distributed import SINGLE_PROCESS
from skybench.training.log import LOG
from skybench.training.precision import tf32_on

PICTURES = 4  # of the test samples of a fine-tuned cell, by default


def shared_context(request: Request, cells: Sequence[Cell]) -> FitContext:
    """Return the context of all cells; starts the processes of distributed training.

    Raises UsageError for a device that is not there, and where several devices have no use.
    """
    device = pick_device(request.device)
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


def run_unlocked(cell: Cell, base: FitContext, request: Request) -> Record:
    """Run a cell and write its record, unless another process holds its training lock.

    Then return a placeholder and write nothing.
    """
    results, workers = request.results or folders.results(), base.workers or SINGLE_PROCESS
    if cell.recipe.precision == AUTO and cell.status == "planned":
        cell = settle_precision(cell, base)
        known: Record | None = workers.gather(store.find_record(results, to_record(cell).path))[0]
        if known and known.fingerprint == cell.fingerprint and known.came_out and not request.force:
            return known
    if cell.status == "cannot run" or not cell.protocol.trains_stepwise:
        return _run_alone(cell, base, request)
    path = to_record(cell).path
    folder = (results / path).with_suffix("")
    with checkpoints.training_lock(folder, workers) as busy:
        if busy:
            return replace(to_record(cell), note=busy, made=store.now())
        # As the first process sees it: a network disk may show the others an older state.
        found: Record | None = workers.gather(
            None if request.force else store.find_record(results, path)
        )[0]
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
    trainings = [folder / f"seed{n}" for n in range(cell.recipe.seeds)]
    if request.force:  # from the start
        for training in trainings:
            checkpoints.remove_checkpoints(training)
    with _temporary_predictions(path) as new:
        keep = new if request.predictions and writes else None
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
        from skybench.report import training_curve  # and matplotlib

        demo = f", {DEMO}" if cell.demo else ""
        title = f"{cell.model.name} on {cell.dataset_id} {cell.recipe.label}".strip() + demo
        scored_on = best_state(cell).removeprefix("best-on-").replace("val", "validation")
        training_curve.write_training_curve(logs, folder / "curve.png", title, scored_on)
    return record


@contextlib.contextmanager
def _temporary_predictions(path: Path) -> Iterator[Path]:
    """A file for the predictions of this process alone: another one may run the same cell.

    Nothing is left of it, or of the replicates beside it, where the run is interrupted.
    """
    new = temporary_beside(path.with_suffix(".npz"))
    try:
        yield new
    finally:
        for file in (new, new.with_suffix(store.DRAWS)):
            file.unlink(missing_ok=True)


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
    blank = replace(to_record(cell), made=store.now())
    if cell.status == "cannot run":
        return blank
    workers = base.workers or SINGLE_PROCESS
    try:
        with tf32_on(False, base.device):  # but where a precision of it is asked for
            return flags.with_flags(measure_cell(cell, base, draw, keep), cell, results)
    except Exception as error:  # a cell may break in any way and must not take others with it
        if isinstance(error, CannotRun) and workers.all_give_up():
            return replace(blank, note=str(error))
        note, trace = workers.failure(error_text(error), traceback.format_exc())
        return replace(blank, status="failed", note=note, traceback=trace)


def measure_cell(
    cell: Cell, base: FitContext, draw: Pictures | None = None, keep: Path | None = None
) -> Record:
    """Extract features, fit and score every seed of a cell; for flags see `flags.with_flags`.

    draw: draws predictions of the first seed. keep: the file for the metric's state of all seeds.
    """
    start, meter, memory = time.perf_counter(), Meter(base.device), PeakMemory(base.device)
    shared = Shared()
    outcomes = [
        run_seed(cell, _of_seed(base, seed), None if seed else draw, shared)
        for seed in range(cell.recipe.seeds)
    ]
    require_unchanged(cell)
    every = [o.metric.scores() if cell.scored else {} for o in outcomes]
    first, metrics = outcomes[0], [o.metric for o in outcomes]
    infos = {name: score_info(first.metric, name) for name in every[0]}
    groups = groups_of(cell.splits["test"])
    sure = uncertainty(metrics, groups if cell.scored else (), cell.splits["test"].keys)
    kept = _keep(cell, keep, metrics) if keep else 0
    spent = time.perf_counter() - start
    record = replace(
        to_record(cell),
        status="measured" if cell.scored else "predicted",
        note="",
        **score_fields(cell, outcomes, every, infos, sure.intervals),
        samples=first.samples,
        used={
            **to_record(cell).used,
            **first.used,
            "chance": first.metric.chance(),
            **uncertainty_facts(sure, infos),
            "features": first.features,
            "prediction_bytes": kept,  # 0: not kept
            **stated_infos(infos),
            **state_facts(cell, outcomes, every, infos),
            **_notes(cell, first.metric),
        },
        cost=provenance.cost_facts(first.timing, spent, meter, memory),
        made=store.now(),
    )
    if keep and sure.replicates:
        save_replicates(sure.replicates, record, keep.with_suffix(store.DRAWS))
    return record


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
