"""What a network costs for one image, counted once for each network, sensors and image size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import Batch, Features, folders
from skybench.core.fingerprint import fingerprint
from skybench.core.sealed import read_sealed, write_sealed
from skybench.data import batching
from skybench.features.extractor import Extractor
from skybench.plan.cell import Cell, affecting

VERSION = 1  # incremented when the counts change
_KNOWN: dict[str, dict[str, float]] = {}  # in this process; the same is in the cache


def network_costs(extractor: Extractor, cell: Cell) -> Mapping[str, float]:
    """Return `gflops` and `parameters`, of the branches that run, for a cell's test image."""
    key = fingerprint(_depends_on(cell))
    if key not in _KNOWN:
        path = folders.cache() / "costs" / f"{key[:24]}.json"
        try:
            kept = read_sealed(path)
            _KNOWN[key] = {name: float(kept[name]) for name in ("gflops", "parameters")}
        except (ValueError, KeyError, TypeError):
            image = batching.collate([cell.splits["test"].read(0)], extractor.size)
            _KNOWN[key] = count_costs(extractor, image)
            with contextlib.suppress(OSError):
                write_sealed(path, _KNOWN[key])
    return _KNOWN[key]


def _depends_on(cell: Cell) -> dict[str, object]:
    """The network, and the shape of its input: sensors, dates and size of the test images."""
    whole, recipe = affecting(cell), cell.recipe
    return {
        "version": VERSION,
        "model": whole["model"],  # weights too: settings may follow from the file
        "images": [whole["dataset"], whole["data"], whole["sensors"], whole["splits"].get("test")],
        "read": [recipe.size, recipe.tile, list(recipe.options), cell.task.time],
    }


def count_costs(extractor: Extractor, image: Batch) -> dict[str, float]:
    """Return a network's floating-point operations for an image, in 1e9, and the parameters used.

    In one forward pass, or in one for each where the network does not allow that.
    """
    from torch.utils.flop_counter import FlopCounterMode

    try:
        with FlopCounterMode(display=False) as counter:
            used = _parameters_used(extractor, image)
        return {"gflops": float(counter.get_total_flops() / 1e9), "parameters": used}
    except Exception:  # the counter lacks an operation, or the network computes in place
        gflops = _gflops_alone(extractor, image)
    try:
        return {"gflops": gflops, "parameters": _parameters_used(extractor, image)}
    except (RuntimeError, NotImplementedError):
        total = sum(p.numel() for p in extractor.model.parameters())
        return {"gflops": gflops, "parameters": total}


def _gflops_alone(extractor: Extractor, image: Batch) -> float:
    from torch.utils.flop_counter import FlopCounterMode

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


def _parameters_used(extractor: Extractor, image: Batch) -> int:
    """The parameters that the features depend on; all where no gradient tells.

    A network may have branches for sensors that a dataset lacks.
    """
    every = list(extractor.model.parameters())
    with _differentiable(every), torch.enable_grad():
        used = {id(p) for p in _leaves(extractor.forward(image))}
    return sum(p.numel() for p in every if id(p) in used) or sum(p.numel() for p in every)


@contextlib.contextmanager
def _differentiable(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    asked = [p.requires_grad for p in parameters]
    try:
        for p in parameters:
            p.requires_grad_(p.is_floating_point())
        yield
    finally:
        for p, wanted in zip(parameters, asked, strict=True):
            p.requires_grad_(wanted)


def _leaves(features: Sequence[Features]) -> list[Tensor]:
    """The tensors at the ends of the graph of computations that features come from."""
    outputs = [x for f in features for x in (f.pooled, *f.pyramid)]
    found, seen = [], set[Any]()
    waiting = [x.grad_fn for x in outputs if x.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:
            found.append(leaf)
        waiting += [after for after, _ in node.next_functions if after is not None]
    return found
