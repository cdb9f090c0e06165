"""Forecast of the extraction of features by frozen backbones: hours on one GPU, without it.

Operations are counted on the meta device as for fine-tuning. How much of a GPU's peak they reach is
not measured here: it is what others report for three networks on an H100, by kind of network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from skybench.core import SkybenchError, registry
from skybench.plan.cell import Cell
from skybench.plan.footprint import HALF
from skybench.plan.forecast import Forecaster, network_input
from skybench.plan.gpus import Gpu
from skybench.plan.planner import Planner
from skybench.plan.request import AUTO
from skybench.weights.meta_init import build_on_meta

# Share of the dense peak that a forward pass reaches in batches of 224 pixels: 8,912 images/s of a
# ResNet-50 (8.2 GFLOP an image), 1,708 of a Swin-L (69), 2,492 of a ViT-L (123) in half precision
# on an H100 of 989 TFLOP/s. As reported, not measured here; smaller GPUs reach two to three times
# the share (timm's tables of an RTX 4090: 21, 31 and 68 %).
REACHED = {"convolutions": 0.07, "windows": 0.12, "attention": 0.31}


def network_kind(network: nn.Module) -> str:
    """Return the key of REACHED: what most of a network's operations are.

    Windows by the names of its classes; convolutions where they hold most parameters.
    """
    names = {type(module).__name__.lower() for module in network.modules()}
    if any(word in name for name in names for word in ("swin", "window")):
        return "windows"
    total = sum(p.numel() for p in network.parameters())
    convolved = sum(
        p.numel() for m in network.modules() if isinstance(m, nn.Conv2d) for p in m.parameters()
    )
    return "convolutions" if 2 * convolved > total else "attention"


class ExtractionForecaster:
    """Forecasts the extraction of a plan's cells; images that an earlier one has had cost nothing.

    The features of a model on a dataset at one size are extracted once, whatever the fractions,
    seeds and columns that read them.
    """

    def __init__(self, planner: Planner, gpu: Gpu) -> None:
        self.planner, self.gpu = planner, gpu
        self.forecaster = Forecaster(planner, gpu)
        self.kinds: dict[Any, str] = {}
        self.counted: dict[Any, int] = {}

    def __call__(self, cell: Cell) -> dict[str, Any]:
        """Return plain JSON; {"unknown": reason} where a network cannot be traced."""
        try:
            return self._told(cell)
        except Exception as error:  # networks fail in many ways without numbers
            if not isinstance(error, SkybenchError):
                error = SkybenchError(f"{type(error).__name__}: {error}".splitlines()[0])
            return {"gpu": self.gpu.name, "unknown": str(error)}

    def _told(self, cell: Cell) -> dict[str, Any]:
        view = network_input(self.planner, cell)
        network = (cell.model.name, view.variant, repr(view.arch))
        body, _, _ = self.forecaster.body(cell, view)
        if network not in self.kinds:
            plugin = registry.model(cell.model.name)
            built = build_on_meta(lambda: plugin.build(view.variant, **view.arch))
            self.kinds[network] = network_kind(built)
        recipe, kind = cell.recipe, self.kinds[network]
        parts = {recipe.train, recipe.val, recipe.test} - {""}
        counts = [self._count(cell, name, view.card.splits) for name in sorted(parts)]
        place = (*network, cell.dataset, recipe.size, recipe.tile, recipe.options)
        images = max(0, sum(counts) - self.counted.get(place, 0))
        self.counted[place] = max(sum(counts), self.counted.get(place, 0))
        half = recipe.precision in HALF or self.planner.request.precision == AUTO
        peak = self.gpu.half if half else self.gpu.single
        rate = peak * 1e12 * REACHED[kind] / body.flops
        known = peak == peak and body.flops > 0
        return {
            "gpu": self.gpu.name, "peak_tflops": peak if known else None, "kind": kind,
            "reached": REACHED[kind], "gflops": round(body.flops / 1e9, 3), "images": images,
            "images_per_s": round(rate, 1) if known else None,
            "hours": round(images / rate / 3600, 4) if known else None,
            "inputs": {n: list(s) for n, s in view.shapes.items()}, "note": view.note,
        }  # fmt: skip

    def _count(self, cell: Cell, split: str, published: Mapping[str, int]) -> int:
        """The samples of a split: as opened, or as its card has them."""
        try:
            return len(self.planner.open(cell.dataset, split, cell.recipe))
        except SkybenchError:
            return published.get(split, 0)


def extraction_columns(told: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a forecast as three columns of a table."""
    if told is None or "unknown" in told:
        why = f"unknown: {told['unknown']}" if told else ""
        return {"GFLOPs": why, "images/s": "", "hours": ""}
    hours = told["hours"]
    return {
        "GFLOPs": f"{told['gflops']:.3g}",
        "images/s": "unknown" if hours is None else f"{told['images_per_s']:.3g}",
        "hours": "unknown" if hours is None else f"{hours:.2g}",
    }


def add_extraction(
    rows: Sequence[dict[str, Any]], cells: Sequence[Cell], planner: Planner, gpu: Gpu
) -> str:
    """Add a forecast to the rows of cells with a frozen backbone; return a note on it."""
    forecast = ExtractionForecaster(planner, gpu)
    for row, cell in zip(rows, cells, strict=True):
        if cell.status in ("planned", "unavailable"):
            row["forecast"] = forecast(cell)
    hours = math.fsum(r.get("forecast", {}).get("hours") or 0 for r in rows)
    reached = ", ".join(f"{100 * share:.0f} % of {kind}" for kind, share in REACHED.items())
    return (
        f"Extraction: {hours:.3g} hours on one {gpu.name}, {hours / 8:.2g} on eight, each image "
        f"once a model, if the forward pass reaches as much of the peak as is reported for an H100 "
        f"({reached}); reading, heads and scoring not counted."
    )
