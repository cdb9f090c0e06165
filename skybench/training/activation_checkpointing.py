"""Activations computed again in the backward pass instead of being kept, to save memory."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from skybench.core import SkybenchError
from skybench.core.model import Model


def enable(model: Model, on: bool = True) -> int:
    """Makes every block of a model forget its activations in training; returns how many blocks.

    Gradients are the same: random draws (dropout, drop path) are repeated, and the second pass
    leaves the running statistics of batch normalisation alone. Keys of the state dict stay, and
    copies of the model do as it does. Undone by `on=False`, which returns 0.
    Source: Chen et al. 2016 (arXiv 1604.06174); torch.utils.checkpoint, not re-entrant.
    """
    found = blocks(model)
    for block in found:
        own = vars(block)
        own.pop("forward", None)
        if on:
            own["forward"] = functools.partial(_recomputing, block)
    return len(found) if on else 0


def blocks(model: Model) -> list[nn.Module]:
    """The modules of `model.layers()` that are called; none is within another.

    Lists are never called: what they hold stands for them.
    """
    called = {id(m): m for layer in model.layers() for m in _called(layer)}
    return [m for m in called.values() if not any(id(x) in called for x in [*m.modules()][1:])]


def _called(module: nn.Module) -> Iterator[nn.Module]:
    if type(module).forward is not nn.Module.forward:
        yield module
        return
    for child in module.children():
        yield from _called(child)


def _recomputing(block: nn.Module, *given: Any, **named: Any) -> Any:
    """A block's forward pass; raises SkybenchError in the second where its input was changed."""
    plain = functools.partial(type(block).forward, block, *given, **named)
    if not (block.training and torch.is_grad_enabled()):
        return plain()
    tensors = [x for x in tree_leaves((given, named)) if isinstance(x, Tensor)]
    versions = [x._version for x in tensors]

    def run(*_: Tensor) -> Any:
        if [x._version for x in tensors] != versions:
            raise SkybenchError(
                f"The input of {type(block).__name__} was changed in place after its forward pass, "
                "so it cannot be computed again; run without recomputation."
            )
        return plain()

    contexts = functools.partial(_contexts, block)
    # By its arguments it knows the devices whose random states it has to keep.
    devices = (*tensors, *block.parameters())
    return checkpoint(run, *devices, use_reentrant=False, context_fn=contexts)


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return contextlib.nullcontext(), _still(block)


@contextlib.contextmanager
def _still(block: nn.Module) -> Iterator[None]:
    """Batch normalisation counts what it sees once, not again in the second pass."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    before = [(m.momentum, m.num_batches_tracked) for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
