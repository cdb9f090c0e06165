"""`--precision auto` in a run: measures each precision on images of the data and takes one."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

from skybench.core import FitContext
from skybench.core.errors import error_text
from skybench.core.fingerprint import fingerprint
from skybench.data.batching import collate
from skybench.features.extractor import Extractor
from skybench.features.precision_distance import (
    LIMIT,
    LOWER,
    Measured,
    fastest_within,
    measure_precisions,
)
from skybench.plan.cell import Cell, affecting
from skybench.plan.precision_choice import gpu_name, remember_choice, with_choice
from skybench.runner.seed_run import load_cell_model
from skybench.training.distributed import SINGLE_PROCESS

IMAGES, BATCH = 64, 16


def settle_precision(cell: Cell, setting: FitContext) -> Cell:
    """Return the cell in the fastest precision whose features are near those of float32.

    What was measured is remembered, and in the record. Where it cannot be measured the cell stays
    in float32: whatever broke will break the run too, which records it. Of several processes all
    take what the first one measured, as times differ.
    """
    measured, fault = dict[str, Measured](), ""
    try:
        measured = _measured(cell, setting)
    except Exception as error:
        fault = error_text(error)
    measured, fault = (setting.workers or SINGLE_PROCESS).gather((measured, fault))[0]
    if fault:
        print(
            f"skybench: --precision auto could not be measured for {cell.model.name} on "
            f"{cell.dataset_id} ({fault}); float32 is taken.",
            file=sys.stderr,
            flush=True,
        )
        return _settled(replace(cell, recipe=replace(cell.recipe, precision="")))
    chosen = fastest_within(measured)
    tried = {
        "limit": LIMIT,
        **{
            name or "float32": [_rounded(m.distance), _rounded(m.images_per_s)]
            for name, m in measured.items()
        },
    }
    remember_choice(cell, gpu_name(setting.device), chosen, tried)
    return _settled(with_choice(cell, chosen, tried))


def _rounded(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None


def _settled(cell: Cell) -> Cell:
    return replace(cell, fingerprint=fingerprint(affecting(cell)))


def _measured(cell: Cell, setting: FitContext) -> dict[str, Measured]:
    samples = cell.splits["train"].only({f.sensor for f in cell.found.values()})
    extractor = Extractor(
        load_cell_model(cell, setting), cell.found, cell.task.time, cell.recipe.size, setting.device
    )
    picked = [*range(0, len(samples), max(1, len(samples) // IMAGES))][:IMAGES]
    parts = [picked[i : i + BATCH] for i in range(0, len(picked), BATCH)]
    batches = [collate([samples.read(i) for i in part], extractor.size) for part in parts]
    return measure_precisions(extractor, batches, LOWER)
