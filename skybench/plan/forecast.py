"""Forecast of fine-tuning: memory, the micro-batch that fits, and hours, without weights or a GPU.

A cell's network is built on the meta device and its forward pass is traced there: bytes that
autograd saves are counted exactly, operations by torch's counter. Forecasts are for one GPU.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skybench.core import CannotRun, ModelCard, SkybenchError
from skybench.plan.cell import Cell
from skybench.plan.footprint import HALF, Footprint, measure_footprint, to_meta
from skybench.plan.gpus import GB, Gpu
from skybench.plan.network_input import (
    NetworkInput,
    build_network,
    forward_pass,
    network_input,
)
from skybench.plan.planner import Planner
from skybench.training.fit import cross_entropy

HELD_BACK = 0.1  # of a GPU's memory: its context, fragments, and gradients on their way
WEIGHT = 4  # bytes of a parameter, float32
LEARNED = 12  # more of one that learns: its gradient and AdamW's two moments
UTILISATION = 0.35  # of the peak: our assumption, at the middle of what large transformers reach


class Work(NamedTuple):
    """The demands of one cell's training, on any GPU."""

    body: Footprint
    head: Footprint
    note: str = ""  # what was assumed

    @property
    def state(self) -> int:
        """Bytes of parameters, and of the gradients and moments of trained ones."""
        return sum(WEIGHT * f.parameters + LEARNED * f.learned for f in (self.body, self.head))

    def memory(self, count: int, recompute: bool) -> float:
        """Return the bytes of a training step with `count` samples a forward pass."""
        return self.state + self.body.kept(count, recompute) + self.head.kept(count, False)

    def largest(self, batch: int, memory: float, recompute: bool) -> int:
        """Return the largest power of two up to `batch` that fits in `memory`; 0: none does."""
        powers = [2**i for i in range(max(1, batch).bit_length())]
        return max((n for n in powers if self.memory(n, recompute) <= memory), default=0)

    def hours(self, samples: float, peak: float, recompute: bool) -> float:
        """Return the hours of training; peak: TFLOP/s. Backward costs twice the forward."""
        passes = self.body.flops * (4 if recompute else 3) + self.head.flops * 3
        return samples * passes / (peak * 1e12 * UTILISATION) / 3600


class Forecaster:
    """Forecasts the cells of a plan; a network with inputs of the same shapes is measured once."""

    def __init__(self, planner: Planner, gpu: Gpu) -> None:
        self.planner, self.gpu = planner, gpu
        self.bodies: dict[Any, Body] = {}
        self.heads: dict[Any, Footprint] = {}

    def __call__(self, cell: Cell) -> dict[str, Any]:
        """Return plain JSON; {"unknown": reason} where a network cannot be traced.

        "plain" and "recomputing": without and with activation checkpointing, "recompute": whether
        the second applies, by request or because not even one sample fits without.
        """
        try:
            view = network_input(self.planner, cell)
            return self._told(cell, view, self._work(cell, view))
        except Exception as error:  # networks fail in many ways without numbers
            if not isinstance(error, SkybenchError):
                error = SkybenchError(f"{type(error).__name__}: {error}".splitlines()[0])
            return {"gpu": self.gpu.name, "unknown": str(error)}

    def _work(self, cell: Cell, view: NetworkInput) -> Work:
        recipe, card = cell.recipe, view.card
        body, levels, model = self.body(cell, view)
        sides = max((s[-2:] for s in view.shapes.values()), key=math.prod)
        form = (cell.task.name, card.name, len(card.classes), recipe.head, recipe.width)
        key: Any = (*form, recipe.protocol, recipe.precision, tuple(levels), sides)
        if key not in self.heads:
            head = cell.task.head(recipe, model, card)
            self.heads[key] = _head(head, levels, sides, recipe.precision)
        return Work(body, self.heads[key], view.note)

    def body(self, cell: Cell, view: NetworkInput) -> Body:
        """Return what a cell's network takes and gives; raises what the network raises."""
        shapes = tuple((n, f, view.shapes[f.sensor]) for n, f in view.found.items())
        network = (cell.model.name, view.variant, repr(view.arch))
        key = (*network, repr(shapes), cell.task.time, cell.protocol.level, cell.recipe.precision)
        if key not in self.bodies:
            self.bodies[key] = _body(cell, view)
        return self.bodies[key]

    def _told(self, cell: Cell, view: NetworkInput, work: Work) -> dict[str, Any]:
        recipe, gpu = cell.recipe, self.gpu
        count = max(1, round(view.samples * recipe.fraction))
        steps, an_epoch = recipe.steps(count), math.ceil(count / max(1, recipe.batch))
        samples = steps * recipe.batch if recipe.iterations else steps * count / an_epoch
        peak, ways = gpu.half if recipe.precision in HALF else gpu.single, {}
        most = self.planner.request.micro or recipe.batch
        for name, again in (("plain", False), ("recomputing", True)):
            micro = work.largest(most, gpu.memory * GB * (1 - HELD_BACK), again)
            hours = work.hours(samples * recipe.seeds, peak, again)
            ways[name] = {
                "micro_batch": micro,  # 0: not even one sample fits
                "bytes": round(work.memory(max(1, micro), again)),
                "activation_bytes_fixed": round(work.body.kept(0, again) + work.head.fixed),
                "activation_bytes_each": round(work.memory(1, again) - work.memory(0, again)),
                "hours": round(hours, 3) if micro and hours == hours else None,
            }
        return {
            "gpu": gpu.name, "gpu_gb": round(gpu.memory, 1), "utilisation": UTILISATION,
            "peak_tflops": peak if peak == peak else None, "held_back": HELD_BACK, "steps": steps,
            "batch": recipe.batch, "seeds": recipe.seeds, "precision": recipe.precision,
            "parameters": work.body.parameters, "head_parameters": work.head.parameters,
            "learned": work.body.learned, "state_bytes": work.state,
            "gflops": round((work.body.flops + work.head.flops) / 1e9, 3),
            **ways, "recompute": self.planner.request.recompute or not ways["plain"]["micro_batch"],
            "inputs": {n: list(s) for n, s in view.shapes.items()}, "note": work.note,
        }  # fmt: skip


Body = tuple[Footprint, list[tuple[int, ...]], ModelCard]  # see `_body`


def _body(cell: Cell, view: NetworkInput) -> Body:
    """A network's footprint, the shapes of a sample's features (pooled first), and its card."""
    model = build_network(cell, view).train()
    to_meta(model)
    forward = forward_pass(model, cell, view)
    shapes: list[tuple[int, ...]] = []

    def run(count: int) -> list[Tensor]:
        out = forward(count)
        results = [out.pooled, *out.pyramid]
        shapes[:] = [tuple(x.shape[1:]) for x in results]
        return results[:1] if cell.protocol.level == "pooled" else results[1:]

    footprint = measure_footprint(run, model, cell.recipe.precision)
    kept = cell.task.time == "keep"
    dates = {n: 1 if kept else view.shapes[f.sensor][0] for n, f in view.found.items()}
    return footprint, shapes, dataclasses.replace(model.card, levels=model.levels_of(dates))


def _head(
    head: Any, shapes: Sequence[tuple[int, ...]], sides: Sequence[int], precision: str
) -> Footprint:
    """The footprint of a head, with the loss of a pixel classifier; sides: of its masks.

    For a detector without the RoI head, whose size does not depend on the image's.
    """
    from skybench.heads._two_stage import TwoStage
    from skybench.heads.classifier import Finetuned
    from skybench.heads.dense import Dense

    with torch.device("meta"):
        if isinstance(head, Finetuned):
            body: nn.Module = nn.Linear(shapes[0][0], head.classes)
        elif isinstance(head, Dense):
            body = head.build(head.levels, head.classes, head.recipe.width)
        elif not hasattr(head, "kind"):
            raise CannotRun(f"only heads of skybench are followed, not {type(head).__name__}")
        else:
            body = TwoStage(head.kind, head.levels, head.classes, head.recipe.width)

    def run(count: int) -> list[Tensor]:
        pooled, *levels = (
            torch.empty(count, *s, device="meta", requires_grad=True) for s in shapes
        )
        if isinstance(head, Finetuned):
            return [body(pooled)]
        if isinstance(body, TwoStage):
            scores, offsets = body.proposer(body._maps(levels))
            return [*scores, *offsets]
        logits = body(levels)
        masks = torch.empty(len(logits[0]), *sides, dtype=torch.uint8, device="meta")
        return [cross_entropy(x, masks) for x in logits]

    return measure_footprint(run, body, precision)


def forecast_columns(told: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a forecast as three columns of a table."""
    if told is None:
        return {"micro-batch": "", "memory": "", "hours": ""}
    if "unknown" in told:
        return {"micro-batch": f"unknown: {told['unknown']}", "memory": "", "hours": ""}
    way = told["recomputing" if told["recompute"] else "plain"]
    memory = f"{way['bytes'] / GB:.1f} GB"
    if not way["micro_batch"]:
        return {"micro-batch": "does not fit", "memory": memory, "hours": ""}
    how = f"{way['micro_batch']} of {told['batch']}"
    hours = way["hours"]
    known = "unknown" if hours is None else f"{hours:.2g}" if hours < 100 else f"{hours:.0f}"
    micro = f"{how}, recomputing" if told["recompute"] else how
    return {"micro-batch": micro, "memory": memory, "hours": known}


def add_estimates(
    rows: Sequence[dict[str, Any]], cells: Sequence[Cell], planner: Planner, gpu: Gpu
) -> str:
    """Add a forecast to the rows of cells that fine-tune; return a note on the assumptions."""
    forecast = Forecaster(planner, gpu)
    for row, cell in zip(rows, cells, strict=True):
        if cell.status in ("planned", "unavailable") and cell.protocol.trains_backbone:
            row["forecast"] = forecast(cell)
    return (
        f"Micro-batch, memory and hours are estimates for one {gpu.name} ({gpu.memory:.0f} GB, "
        f"{HELD_BACK:.0%} held back) at {UTILISATION:.0%} of its peak; reading and scoring not "
        "counted. --gpu NAME takes another."
    )
