"""Activation checkpointing: activations are recomputed in the backward pass to save memory."""

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
    """Turn activation checkpointing of every block on; return the number of blocks.

    Gradients are equal: random draws (dropout, drop path) are repeated, and the second forward
    pass does not update the running statistics of batch normalisation. The keys of the state dict
    stay, and copies of the model inherit it. `on=False` turns it off and returns 0.
    Source: Chen et al. 2016 (arXiv 1604.06174); torch.utils.checkpoint, not re-entrant.
    """
    checkpointed = blocks(model)
    for block in checkpointed:
        attributes = vars(block)
        attributes.pop("forward", None)
        if on:
            attributes["forward"] = functools.partial(_checkpointed_forward, block)
    return len(checkpointed) if on else 0


def blocks(model: Model) -> list[nn.Module]:
    """Return the modules of `model.layers()` that have a forward pass; none is within another.

    A ModuleList has none: the modules that it holds take its place.
    """
    called = {id(m): m for layer in model.layers() for m in _called(layer)}
    return [m for m in called.values() if not any(id(x) in called for x in [*m.modules()][1:])]


def _called(module: nn.Module) -> Iterator[nn.Module]:
    if type(module).forward is not nn.Module.forward:
        yield module
        return
    for child in module.children():
        yield from _called(child)


def _checkpointed_forward(block: nn.Module, *given: Any, **named: Any) -> Any:
    """Run a block; the second pass raises SkybenchError if the input was changed in place."""
    plain = functools.partial(type(block).forward, block, *given, **named)
    if not (block.training and torch.is_grad_enabled()):
        return plain()
    tensors = [x for x in tree_leaves((given, named)) if isinstance(x, Tensor)]
    versions = [x._version for x in tensors]

    def run(*_: Tensor) -> Any:
        if [x._version for x in tensors] != versions:
            raise SkybenchError(
                f"The input of {type(block).__name__} was changed in place after its forward pass, "
                "so it cannot be computed again; run without --recompute."
            )
        return plain()

    contexts = functools.partial(_contexts, block)
    # From its arguments `checkpoint` infers the devices whose random states it restores.
    devices = (*tensors, *block.parameters())
    return checkpoint(run, *devices, use_reentrant=False, context_fn=contexts)


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return contextlib.nullcontext(), _frozen_statistics(block)


@contextlib.contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Keep batch normalisation from updating its running statistics a second time."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    before = [(m.momentum, m.num_batches_tracked) for m in norms]
    for norm, (_, tracked) in zip(norms, before, strict=True):
        norm.momentum = 0.0
        norm.num_batches_tracked = None if tracked is None else tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
