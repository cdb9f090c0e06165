"""One cell -> one record."""

from __future__ import annotations

import copy
import datetime
import functools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skybench import (
    alarms,
    collapse,
    features,
    guards,
    places,
    predictions,
    provenance,
    records,
    stats,
    weights,
)
from skybench.cells import Cell, plain_arch, to_record
from skybench.core import CannotRun, Metric, ModelCard, Report, Setting, Source, UsageError
from skybench.drawing import Drawings
from skybench.energy import Meter
from skybench.model import Model
from skybench.plan import Planner, require_available
from skybench.request import Request
from skybench.samples import Joined, Samples
from skybench.sampling import hold_out, stratified

HELD_OUT = 0.2  # of train, where a dataset has no validation split


@dataclass(frozen=True)
class Outcome:
    """What one seed gave."""

    seed: int
    metric: Metric
    chosen: Mapping[str, Any]
    model: Model
    samples: Mapping[str, int]
    timing: Mapping[str, float]
    looked: Mapping[str, Any]  # what the features of the test images are like, of the first


def pick_device(wanted: str) -> str:
    """ "cuda" where one is there, unless told otherwise. Raises UsageError where it is not."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"No device {wanted!r}. Known: auto, cpu, cuda.")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError("No CUDA device was found; give --device cpu, or see `skybench doctor`.")
    return "cuda" if there and wanted != "cpu" else "cpu"


def run_cells(request: Request) -> list[records.Record]:
    """Plans and runs; returns the records of all cells asked for, in plan order."""
    return run_planned(request, Planner(request).cells())


def run_planned(
    request: Request,
    cells: Sequence[Cell],
    report: Callable[[Cell, str, int, int], None] = lambda *_: None,
    finished: Callable[[Cell, records.Record], None] = lambda *_: None,
    fail_fast: bool = False,
) -> list[records.Record]:
    """Runs the cells that are not done; a cell that breaks becomes a `failed` record.

    Raises SkybenchError before anything starts where weights, or data asked for by name, are
    missing.
    """
    require_available(cells, request)
    device = pick_device(request.device)
    results = request.results or places.results()
    settle = guards.strict if request.strict else lambda record: record
    made = []
    for cell in cells:
        known = records.find(results, to_record(cell).path)
        settled = cell.status == "done" or (cell.status == "cannot run" and not request.force)
        if settled and known is not None:
            made.append(settle(known))
            continue
        path = results / to_record(cell).path
        folder = path.with_suffix("")
        draw = Drawings(request.draw, folder, cell.splits["test"]) if cell.splits else None
        keep = path.with_suffix(".npz") if request.predictions else None
        told = functools.partial(report, cell)
        record = settle(run_cell(cell, device, results, told, draw, keep))
        if cell.status != "unavailable":
            records.write(record, results)
        made.append(record)
        finished(cell, record)
        if fail_fast and record.status == "failed":
            break
    return made


def run_cell(
    cell: Cell,
    device: str,
    results: Path,
    report: Report = lambda *_: None,
    draw: Drawings | None = None,
    keep: Path | None = None,
) -> records.Record:
    """Runs one cell to its end; what breaks is in the record, never raised."""
    blank = replace(to_record(cell), made=_now())
    if cell.status in ("cannot run", "unavailable"):
        return blank
    try:
        return alarms.judged(measure(cell, device, report, draw, keep), cell, results)
    except CannotRun as error:
        return replace(blank, note=str(error))
    except Exception as error:  # a cell may break in any way and must not take others with it
        note = f"{type(error).__name__}: {error}"
        return replace(blank, status="failed", note=note, traceback=traceback.format_exc())


def measure(
    cell: Cell,
    device: str,
    report: Report,
    draw: Drawings | None = None,
    keep: Path | None = None,
) -> records.Record:
    """Extracts, fits and scores every seed of a cell; see `alarms.judged` for flags.

    What the first predicts may be drawn; all that was counted may be kept in the file `keep`.
    """
    start, meter = time.perf_counter(), Meter(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    outcomes = [
        _one_seed(cell, seed, Setting(seed, device, report), None if seed else draw)
        for seed in range(cell.recipe.seeds)
    ]
    every = [o.metric.scores() for o in outcomes]
    first = outcomes[0]
    scores = {n: float(np.mean([s[n] for s in every])) for n in every[0]}
    bands = stats.intervals([o.metric for o in outcomes], first.samples["test"])
    seeds = [
        {"seed": o.seed, "scores": _rounded(s), "chosen": o.chosen}
        for o, s in zip(outcomes, every, strict=True)
    ]
    main = next(iter(scores))
    keys = cell.splits["test"].keys
    kept = predictions.save(keep, keys, [o.metric for o in outcomes]) if keep else 0
    return replace(
        to_record(cell),
        status="measured",
        note="",
        scores=_rounded(scores),
        spread=_rounded({n: stats.spread([s[n] for s in every]) for n in scores}),
        intervals={n: [round(b.low, 4), round(b.high, 4)] for n, b in bands.items()},
        per_class={c: _rounded(v) for c, v in first.metric.per_class().items()},
        seeds=seeds,
        samples=first.samples,
        used={
            **to_record(cell).used,
            **provenance.used(cell, first.model, device),
            "chance": first.metric.chance(),
            "error": bands[main].error,  # standard error of the main score
            "features": first.looked,
            "prediction_bytes": kept,  # 0: not kept
        },
        cost=provenance.cost(first.model, first.timing, time.perf_counter() - start, meter, device),
        made=_now(),
    )


def _one_seed(cell: Cell, seed: int, setting: Setting, draw: Drawings | None) -> Outcome:
    device, report = setting.device, setting.report
    model = _load(
        cell.model.name,
        cell.weights,
        cell.variant,
        _weights_seed(cell, seed),
        tuple(sorted(cell.arch.items())),
    )
    if learns := cell.recipe.protocol == "finetune":
        model = copy.deepcopy(model)  # others use it as it was
        setting = setting._replace(backbone=model)
    model.to(device)
    size = cell.recipe.size
    extractor = features.Extractor(model, cell.found, cell.task.time, size, device)
    needed = {f.sensor for f in cell.found.values()}
    start, samples = time.perf_counter(), Joined({n: s.only(needed) for n, s in cell.pool.items()})
    identity = _identity(cell, samples, _weights_seed(cell, seed))
    whole, cached = (
        (features.Live(extractor, samples, cell.recipe.augment, seed), True)
        if learns
        else features.source(extractor, samples, identity, cell.task.level, report)
    )
    spent = time.perf_counter() - start
    found = samples.places()
    sources = {r: features.Chosen(whole, found[getattr(cell.recipe, r)]) for r in cell.splits}
    train, val = _parts(cell, sources, seed)
    test = sources["test"]
    metric = cell.task.metric(cell.splits["test"].card)
    keys = cell.splits["test"].keys
    guards.check_metric(metric, ((key, test.target(i)) for i, key in enumerate(keys)))
    head = cell.task.head(cell.recipe, _seen_card(cell, model), cell.splits["train"].card)
    report("head", 0, 1)
    chosen = head.fit(train, val, setting)
    for index, prediction in enumerate(head.predict(test)):
        metric.update(prediction, test.target(index), keys[index])
        if draw is not None:
            draw(index, prediction)
        report("test", index + 1, len(test))
    counts = {"train": len(train), "val": 0 if val is None else len(val), "test": len(test)}
    timing = {
        "extract_s": spent,
        "extracted": 0 if cached else len(samples),
        "gflops": provenance.gflops(extractor, cell),
    }
    looked = {} if seed else collapse.look(whole, extractor, samples, found[cell.recipe.test])
    return Outcome(seed, metric, chosen, model, counts, timing, looked)


def _seen_card(cell: Cell, model: Model) -> ModelCard:
    """The model's card with the pyramid that the cell's sensors and dates give."""
    images = cell.splits["train"].read(0).images
    kept = cell.task.time == "keep"
    dates = {name: 1 if kept else len(images[f.sensor]) for name, f in cell.found.items()}
    return replace(model.card, levels=model.levels_of(dates))


def _weights_seed(cell: Cell, seed: int) -> int:
    """The seed of a network's initial values: those of trained weights do not vary."""
    return seed if cell.weights == "random" else 0


@functools.lru_cache(maxsize=1)
def _load(
    name: str, path: str, variant: str, seed: int, arch: tuple[tuple[str, Any], ...]
) -> Model:
    """The last model used stays in memory: cells are ordered by model."""
    return weights.load_model(name, None if path == "none" else path, variant, seed, **dict(arch))


def _identity(cell: Cell, samples: Samples, seed: int) -> dict[str, Any]:
    """What tells the features of one split apart from all others, but for size and samples."""
    return {
        "model": [cell.model.name, cell.model.version, cell.variant, cell.weights_id, seed],
        **({"arch": plain_arch(cell)} if cell.arch else {}),
        "dataset": [cell.dataset_id, samples.card.version, cell.recipe.tile, cell.demo],
        "classes": list(samples.card.classes),
        "stamp": samples.stamp(),
    }


def _parts(
    cell: Cell, sources: Mapping[str, features.Chosen], seed: int
) -> tuple[Source, Source | None]:
    """What the head learns from and what it selects on, after fraction and holding out."""
    samples, train = cell.splits["train"], sources["train"]
    wanted = max(1, round(cell.recipe.fraction * len(samples)))
    used = stratified(samples.labels, len(samples), wanted, seed)
    if "val" in sources:
        return train.some(used), sources["val"]
    if cell.task.level == "pyramid":  # dense heads select nothing
        return train.some(used), None
    labels = samples.labels or (0,) * len(samples)
    stay, out = hold_out([labels[i] for i in used], HELD_OUT, seed)
    return train.some([used[i] for i in stay]), train.some([used[i] for i in out])


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    """To 4 decimals of a percent; a NaN (no pixel of any class) has no place in JSON."""
    return {n: round(v, 4) for n, v in values.items() if v == v}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
