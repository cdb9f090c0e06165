"""Forecast of the extraction of features by frozen backbones: hours on one GPU, without it.

Operations are counted on the meta device as for fine-tuning. How much of a GPU's peak they reach is
not measured here: it is what others report for three networks on an H100, by kind of network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from skybench.core import CannotRun, SkybenchError
from skybench.core.model import Model
from skybench.plan.cell import Cell
from skybench.plan.footprint import HALF, count_operations, to_meta
from skybench.plan.gpus import Gpu
from skybench.plan.network_input import (
    NetworkInput,
    build_network,
    forward_pass,
    guessed_count,
    network_input,
)
from skybench.plan.planner import Planner
from skybench.plan.request import AUTO

# Share of the dense peak that a forward pass reaches in batches of 224 pixels: 8,912 images/s of a
# ResNet-50 (8.2 GFLOP an image), 1,708 of a Swin-L (69), 2,492 of a ViT-L (123) in half precision
# on an H100 of 989 TFLOP/s. As reported, not measured here; smaller GPUs reach two to three times
# the share (timm's tables of an RTX 4090: 21, 31 and 68 %).
TOGETHER = 1000  # dates in one pass: as many operations, and fewer steps to follow
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


class Traced(NamedTuple):
    """A network on the meta device, and the operations of one sample by the shapes of its input."""

    model: Model
    kind: str  # a key of REACHED
    operations: dict[Any, float]


class ExtractionForecaster:
    """Forecasts the extraction of a plan's cells; images that an earlier one has had cost nothing.

    The features of a model on a dataset at one size are extracted once, whatever the fractions,
    seeds and columns that read them.
    """

    def __init__(self, planner: Planner, gpu: Gpu) -> None:
        self.planner, self.gpu = planner, gpu
        self.traced: dict[Any, Traced] = {}  # of one network: cells come model by model
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
        view, recipe = network_input(self.planner, cell), cell.recipe
        if cell.protocol.level == "pyramid" and not cell.model.levels:
            raise CannotRun(f"{cell.model.name} gives one vector an image and no feature maps")
        network = (cell.model.name, view.variant, repr(view.arch))
        traced = self._network(network, cell, view)
        shapes = (repr(view.sizes(traced.model.card)), cell.task.time)
        if shapes not in traced.operations:
            run = forward_pass(traced.model, cell, view, TOGETHER)
            traced.operations[shapes] = count_operations(run)
        operations = traced.operations[shapes]
        count = self._count(cell)
        place = (*network, cell.dataset, recipe.size, recipe.tile, cell.protocol.level)
        images = max(0, count - self.counted.get(place, 0))
        self.counted[place] = max(count, self.counted.get(place, 0))
        half = recipe.precision in HALF or self.planner.request.precision == AUTO
        peak = self.gpu.half if half else self.gpu.single
        known = peak == peak and operations > 0
        rate = peak * 1e12 * REACHED[traced.kind] / operations if known else math.nan
        hours = 0.0 if not operations else images / rate / 3600
        return {
            "gpu": self.gpu.name, "peak_tflops": peak if known else None, "kind": traced.kind,
            "reached": REACHED[traced.kind], "gflops": round(operations / 1e9, 3), "images": images,
            "images_per_s": round(rate, 1) if known else None,
            "hours": round(hours, 4) if hours == hours and count else None,
            "inputs": {n: list(s) for n, s in view.shapes.items()}, "note": view.note,
        }  # fmt: skip

    def _network(self, name: Any, cell: Cell, view: NetworkInput) -> Traced:
        if name not in self.traced:
            self.traced.clear()  # one network at a time
            model = build_network(cell, view).eval()
            to_meta(model)
            self.traced[name] = Traced(model, network_kind(model), {})
        return self.traced[name]

    def _count(self, cell: Cell) -> int:
        """The samples of all splits of a cell: as opened, or as the card has them."""
        parts = {cell.recipe.train, cell.recipe.val, cell.recipe.test} - {""}
        if cell.splits:
            return sum(map(len, {s.split.name: s for s in cell.splits.values()}.values()))
        return sum(guessed_count(cell, part) for part in parts)


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
