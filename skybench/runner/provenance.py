"""Provenance of a record: inputs, splits, versions, device, and the cost of the run."""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import Batch
from skybench.core.model import Model
from skybench.core.revision import revision
from skybench.data import batching
from skybench.features.extractor import Extractor
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


def gflops(extractor: Extractor, cell: Cell) -> float:
    """Return the network's floating-point operations for one test image, in 1e9."""
    from torch.utils.flop_counter import FlopCounterMode

    image = batching.collate([cell.splits["test"].read(0)], extractor.size)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            extractor.forward(image)
        return float(counter.get_total_flops() / 1e9)
    except Exception:  # it follows every operation, and some networks have one that it cannot
        return _layers_gflops(extractor, image)


def _layers_gflops(extractor: Extractor, image: Batch) -> float:
    """The operations of linear and convolution layers alone, without attention products."""
    total = 0

    def count(layer: Any, given: Any, out: Tensor) -> None:
        nonlocal total
        total += 2 * layer.weight[0].numel() * out.numel()

    layers = (m for m in extractor.model.modules() if isinstance(m, nn.Linear | nn.Conv2d))
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.inference_mode():
            extractor.forward(image)
    finally:
        for hook in hooks:
            hook.remove()
    return total / 1e9


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
