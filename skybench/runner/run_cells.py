"""One cell -> one record."""

from __future__ import annotations

import datetime
import functools
import math
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from skybench.analysis import bootstrap
from skybench.checks import flags
from skybench.core import CannotRun, Record, Setting, SkybenchError, UsageError, folders
from skybench.plan.cell import Cell, to_record
from skybench.plan.planner import Planner, require_available
from skybench.plan.request import Request
from skybench.records import predictions, store
from skybench.records.labels import DEMO
from skybench.report import training_curve
from skybench.report.pictures import Drawings
from skybench.runner import provenance
from skybench.runner.energy import Meter
from skybench.runner.seed_run import one_seed
from skybench.training import checkpoints, distributed
from skybench.training.log import LOG, require_tensorboard

PICTURES = 4  # of test samples of a cell that is fine-tuned, if not told otherwise


def pick_device(wanted: str) -> str:
    """ "cuda" where one is there, unless told otherwise. Raises UsageError where it is not."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"No device {wanted!r}. Known: auto, cpu, cuda.")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError("No CUDA device was found; give --device cpu, or see `skybench doctor`.")
    return "cuda" if there and wanted != "cpu" else "cpu"


def run_cells(request: Request) -> list[Record]:
    """Plans and runs; returns the records of all cells asked for, in plan order."""
    return run_planned(request, Planner(request).cells())


def run_planned(
    request: Request,
    cells: Sequence[Cell],
    report: Callable[[Cell, str, int, int], None] = lambda *_: None,
    finished: Callable[[Cell, Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[Record]:
    """Runs the cells that are not done; a cell that breaks becomes a `failed` record.

    Raises SkybenchError before anything starts where weights, or data asked for by name, are
    missing.
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
        if record.status == "failed" and base.workers is not None and base.workers.size > 1:
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
    """The record of a cell that is not to be run again."""
    settled = cell.status == "done" or (cell.status == "cannot run" and not force)
    return store.find(results, to_record(cell).path) if settled else None


def _base(request: Request, device: str, cells: Sequence[Cell]) -> Setting:
    """What is the same for every seed of every cell; starts the other processes, if asked to."""
    if (request.devices, request.nodes) != (1, 1):
        planned = {c.recipe.protocol for c in cells if c.status == "planned"}
        if planned - {"finetune"}:
            raise UsageError(
                "Several devices train one network together, which is --protocol finetune; for "
                "others run parts of the table on each device and join them: skybench merge"
            )
    return Setting(
        0,
        device,
        workers=distributed.start(request.devices, device, request.nodes),
        micro=request.micro,
        recompute=request.recompute,
        keep=request.keep_weights,
        tensorboard=request.tensorboard,
    )


def _run(cell: Cell, base: Setting, request: Request) -> Record:
    """Runs a cell; one that another run trains now is left to it, and no record is written."""
    stepwise = cell.recipe.protocol == "finetune" or cell.task.level == "pyramid"
    if not stepwise or cell.status in ("cannot run", "unavailable"):
        return _run_alone(cell, base, request)
    results, path = request.results or folders.results(), to_record(cell).path
    folder = (results / path).with_suffix("")
    with checkpoints.alone(folder, base.workers or distributed.ALONE) as busy:
        if busy:
            return replace(to_record(cell), note=busy, made=_now())
        found = None if request.force else store.find(results, path)
        if found is not None and found.fingerprint == cell.fingerprint and found.came_out:
            return found  # by another run, since the plan was made
        return _run_alone(cell, base._replace(folder=folder), request)


def _run_alone(cell: Cell, base: Setting, request: Request) -> Record:
    """Runs a cell and writes its record, with pictures and what was kept beside it."""
    results = request.results or folders.results()
    path = results / to_record(cell).path
    folder = path.with_suffix("")
    writes = base.workers is None or base.workers.rank == 0
    learns = cell.recipe.protocol == "finetune"
    pictures = (PICTURES if learns else 0) if request.draw < 0 else request.draw
    draw = Drawings(pictures, folder, cell.splits["test"]) if cell.splits and writes else None
    keep = path.with_suffix(".npz") if request.predictions and writes else None
    trainings = [folder / f"seed{n}" for n in range(cell.recipe.seeds)]
    if request.force:  # from the start
        for training in trainings:
            checkpoints.clear(training)
    record = run_cell(cell, base, results, draw, keep)
    if cell.status == "unavailable" or not writes:
        return record
    store.write(record, results)
    logs = [t / LOG for t in trainings if (t / LOG).is_file()]
    if record.came_out:
        for training in trainings:
            checkpoints.clear(training)
    if logs and learns:
        demo = f", {DEMO}" if cell.demo else ""
        title = f"{cell.model.name} on {cell.dataset_id} {cell.recipe.label}".strip() + demo
        training_curve.curve(logs, folder / "curve.png", title)
    return record


def run_cell(
    cell: Cell,
    base: Setting,
    results: Path,
    draw: Drawings | None = None,
    keep: Path | None = None,
) -> Record:
    """Runs one cell to its end; what breaks is in the record, never raised.

    base: the setting of all seeds; its folder is the cell's.
    """
    blank = replace(to_record(cell), made=_now())
    if cell.status in ("cannot run", "unavailable"):
        return blank
    try:
        return flags.judged(measure(cell, base, draw, keep), cell, results)
    except CannotRun as error:
        return replace(blank, note=str(error))
    except Exception as error:  # a cell may break in any way and must not take others with it
        note = f"{type(error).__name__}: {error}"
        return replace(blank, status="failed", note=note, traceback=traceback.format_exc())


def measure(
    cell: Cell, base: Setting, draw: Drawings | None = None, keep: Path | None = None
) -> Record:
    """Extracts, fits and scores every seed of a cell; see `alarms.judged` for flags.

    What the first predicts may be drawn; all that was counted may be kept in the file `keep`.
    """
    start, meter = time.perf_counter(), Meter(base.device)
    if base.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    outcomes = [
        one_seed(cell, _of_seed(base, seed), None if seed else draw)
        for seed in range(cell.recipe.seeds)
    ]
    every = [o.metric.scores() if cell.scored else {} for o in outcomes]
    first = outcomes[0]
    scores = {n: float(np.mean([s[n] for s in every])) for n in every[0]}
    images = first.samples["test"]
    bands = bootstrap.intervals([o.metric for o in outcomes], images) if cell.scored else {}
    seeds = [
        {"seed": o.seed, "scores": _rounded(s), "chosen": o.chosen}
        for o, s in zip(outcomes, every, strict=True)
    ]
    main = next(iter(scores), "")
    keys = cell.splits["test"].keys
    budget = predictions.BUDGET if cell.scored else math.inf
    kept = predictions.save(keep, keys, [o.metric for o in outcomes], budget) if keep else 0
    spent = time.perf_counter() - start
    return replace(
        to_record(cell),
        status="measured" if cell.scored else "predicted",
        note="",
        scores=_rounded(scores),
        spread=_rounded({n: bootstrap.spread([s[n] for s in every]) for n in scores}),
        intervals={n: [round(b.low, 4), round(b.high, 4)] for n, b in bands.items()},
        per_class=(
            {c: _rounded(v) for c, v in first.metric.per_class().items()} if cell.scored else {}
        ),
        seeds=seeds,
        samples=first.samples,
        used={
            **to_record(cell).used,
            **provenance.used(cell, first.model, base.device),
            "chance": first.metric.chance(),
            "error": bands[main].error if main in bands else 0.0,  # standard, of the main score
            "features": first.looked,
            "prediction_bytes": kept,  # 0: not kept
        },
        cost=provenance.cost(first.model, first.timing, spent, meter, base.device),
        made=_now(),
    )


def _of_seed(base: Setting, seed: int) -> Setting:
    folder = base.folder and base.folder / f"seed{seed}"
    return base._replace(seed=seed, folder=folder)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """To 4 decimals of a percent; a NaN (no pixel of any class) has no place in JSON."""
    return {n: round(v, 4) for n, v in values.items() if v == v}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
