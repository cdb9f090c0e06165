"""Provenance of a record: inputs, splits, versions, device, and the cost of the run."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from typing import Any

import torch

from skybench.core.model import Model
from skybench.core.revision import revision
from skybench.plan.cell import Cell
from skybench.runner.energy import Meter
from skybench.runner.peak_memory import PeakMemory
from skybench.runner.trained_weights import weights_facts


def used_facts(cell: Cell, model: Model, device: str) -> dict[str, Any]:
    """Return inputs, splits, versions and device of a cell, for `Record.used`."""
    given = {s.name: s for s in cell.splits["test"].card.sensors}
    inputs = {
        name: {
            "sensor": f.sensor,
            "bands": [given[f.sensor].bands[c] for c in f.channels],
            "unit": given[f.sensor].unit,
            "scale": f.conversion.scale,
        }
        for name, f in cell.found.items()
    }
    info = model.loaded
    coverage = None if info.coverage is None else dataclasses.asdict(info.coverage)
    splits = {n: dataclasses.asdict(s.split) for n, s in cell.splits.items()}
    return {
        "offered": sorted(given),
        "inputs": inputs,
        "size": cell.recipe.size,
        "min_pixels": model.card.min_pixels,
        "splits": splits,
        "classes": list(cell.splits["test"].card.classes),
        "coverage": coverage,
        **weights_facts(cell, model),
        "versions": versions(),
        "cards": {
            "model": cell.model.version,
            "dataset": cell.splits["test"].card.version,
            "task": cell.task.version,
            **({"protocol": cell.protocol.version} if cell.protocol.version > 1 else {}),
        },
        "revision": revision(),
        "device": torch.cuda.get_device_name()
        if device == "cuda"
        else platform.processor() or "cpu",
        "precision": {"": "float32"}.get(cell.recipe.precision, cell.recipe.precision),
    }


def cost_facts(
    timing: Mapping[str, float], wall: float, meter: Meter, memory: PeakMemory
) -> dict[str, Any]:
    """Return parameters, speed, memory and energy; no images/s where features were cached."""
    spent, images = timing["extract_s"], timing["extracted"]
    return {
        "parameters": int(timing["parameters"]),  # of the branches that ran
        "parameters_in_all": int(timing["parameters_in_all"]),
        "gflops": round(timing["gflops"], 3),
        "images_per_s": round(images / spent, 2) if images else None,
        "wall_s": round(wall, 2),
        **memory.peak(),
        "joules": meter.joules(),  # by source; empty where none can be read
    }


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect scores."""
    import importlib.metadata

    import rasterio

    names = (
        "skybench", "torch", "torchvision", "timm", "numpy", "pillow", "rasterio", "scipy",
        "scikit-learn", "safetensors", "torchgeo",
    )  # fmt: skip
    found = {n: importlib.metadata.version(n) for n in names}
    return {"python": platform.python_version(), **found, "gdal": str(rasterio.__gdal_version__)}
