"""`--precision auto`: the precision of extraction, as it was measured for a model and data before.

What was measured is a small JSON file in the cache for each model, data and GPU. Until there is
one, a cell is planned with the precision "auto", and measured when it runs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from skybench.core import folders
from skybench.core.fingerprint import fingerprint
from skybench.core.sealed import read_sealed, write_sealed
from skybench.plan.cell import Cell, affecting
from skybench.plan.request import AUTO


def planned_precision(cell: Cell, wanted: str) -> Cell:
    """Return a cell with its precision chosen, where that was asked to be automatic.

    wanted: the device, as asked for. On CPUs it is float32; on GPUs what was measured before, or
    still AUTO. The fingerprint is not that of the new precision.
    """
    if cell.recipe.precision != AUTO:
        return cell
    device = gpu_name(wanted)
    if not device:
        return replace(cell, recipe=replace(cell.recipe, precision=""))
    known = _remembered(cell, device)
    return cell if known is None else with_choice(cell, *known)


def with_choice(cell: Cell, chosen: str, tried: Mapping[str, Any]) -> Cell:
    """Return a cell with the precision that a measurement gave, and what was measured."""
    marked = tuple(sorted({*cell.overridden, *(["precision"] if chosen else [])}))
    recipe = replace(cell.recipe, precision=chosen)
    return replace(cell, recipe=recipe, precision_tried=tried, overridden=marked)


def remember_choice(cell: Cell, device: str, chosen: str, tried: Mapping[str, Any]) -> None:
    """Keep what was measured for a cell on a GPU by this name; a full disk costs nothing else."""
    path, of = _place(cell, device)
    with contextlib.suppress(OSError):
        write_sealed(path, {"of": of, "chosen": chosen, "tried": dict(tried)})


def gpu_name(wanted: str) -> str:
    """Return the name of the GPU on which a run would be; "" where it would be on the CPU."""
    if wanted == "cpu":
        return ""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _remembered(cell: Cell, device: str) -> tuple[str, Mapping[str, Any]] | None:
    path, of = _place(cell, device)
    try:
        kept = read_sealed(path)
        return (str(kept["chosen"]), dict(kept["tried"])) if kept["of"] == of else None
    except (ValueError, KeyError, TypeError):
        return None


def _place(cell: Cell, device: str) -> tuple[Path, dict[str, Any]]:
    """The file of a cell's measurement, and all that the measurement depends on."""
    whole = affecting(cell)
    of: dict[str, Any] = {
        **{name: whole[name] for name in ("model", "dataset", "data", "sensors")},
        "images": [cell.recipe.size, cell.recipe.tile, list(cell.recipe.options), cell.task.time],
        "device": device,
        "torch": metadata.version("torch"),
    }
    of = json.loads(json.dumps(of))  # as it is read
    return folders.cache() / "precision" / f"{fingerprint(of)[:24]}.json", of
