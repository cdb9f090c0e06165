"""What stays in float32 under autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

Given = ParamSpec("Given")
Found = TypeVar("Found")


def in_float32(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Make a function or method compute in float32 under autocast; without it nothing changes.

    For what makes places, biases or kernels: few operations, whose rounding error in bfloat16 (a
    coordinate of 14 of 16 cells is off by 0.03) would reach every token. Tensors must be given by
    position. A method of a module that was loaded in half precision stays under autocast.
    """

    @functools.wraps(function)
    def call(*given: Given.args, **named: Given.kwargs) -> Found:
        tensors = [x for x in given if isinstance(x, Tensor)]
        device = tensors[0].device.type
        if any(isinstance(x, nn.Module) and _is_half(x) for x in given):
            return function(*given, **named)
        if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
            return function(*given, **named)
        with torch.autocast(device, enabled=False):
            return function(*map(_float, given), **named)

    return call


def _is_half(module: nn.Module) -> bool:
    return any(p.dtype in (torch.bfloat16, torch.float16) for p in module.parameters())


def _float(x: Any) -> Any:
    return x.float() if isinstance(x, Tensor) and x.is_floating_point() else x


def wide(x: Tensor) -> Tensor:
    """Return float32 for half precision; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@in_float32
def date_mean(maps: Tensor, share: Tensor) -> Tensor:
    """Mean over dates, [T, B, ...] -> [B, ...], with weights [T, B] that sum to 1 over T."""
    return torch.einsum("tb...,tb->b...", maps, share)
