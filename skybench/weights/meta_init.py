"""Networks built without their numbers, and filled from a file one tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skybench.core import Batch, Features
from skybench.core.model import Model

LARGE = 1 << 16  # elements; smaller parameters are made as always


class _Hollow(TorchFunctionMode):
    """Large empty tensors get no memory: parameters are empty before they are initialised."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            shaped: Tensor = func(*args, **kwargs | {"device": "meta"})
            if shaped.numel() >= LARGE:
                return shaped
        return func(*args, **kwargs)


def hollow(build: Callable[[], Model]) -> Model:
    """What `build` gives, but with large parameters on the meta device where that can be.

    Buffers, whatever a constructor computes, and small parameters have their values; of those,
    random ones differ from a whole build's, as less is drawn before them.
    """
    try:
        with _Hollow():
            model = build()
    except RuntimeError:  # a constructor that computes with its parameters
        return build()
    return build() if any(b.is_meta for b in model.buffers()) else model


def is_filled_by(model: Model, own: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has all numbers that a hollow model lacks."""
    return all(k in own for k, v in model.state_dict().items() if v.is_meta)


@torch.no_grad()
def fill(model: Model, own: dict[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
    """Moves the tensors of a state dict that fits into a model; the dict is empty afterwards.

    What a hollow model lacks is made in `dtype` where `lower` would keep it so.
    """
    for key, target in model.state_dict(keep_vars=True).items():
        if key not in own:
            continue
        given = own.pop(key)
        if target.is_meta:
            kept = dtype if _is_matrix(key, target) else target.dtype
            real = torch.empty_like(target, dtype=kept, device=torch.get_default_device())
            whole = nn.Parameter(real, target.requires_grad)
            torch.utils.swap_tensors(target, whole)  # type: ignore[no-untyped-call]
        target.data.copy_(given)
    own.clear()


def _is_matrix(key: str, parameter: Tensor) -> bool:
    """Whether it is a layer's matrix or kernel: almost all of a network, and what autocast casts.

    Norms, biases, positions, tables and tokens are not.
    """
    return key.endswith("weight") and parameter.ndim > 1 and parameter.is_floating_point()


class _Lowered:
    """Computes a model's forward pass in a lower precision; its features are float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.running: list[ExitStack] = []

    def begin(self, _: nn.Module, given: tuple[Batch]) -> None:
        device = given[0].lonlat.device.type
        self.running.append(ExitStack())
        self.running[-1].enter_context(torch.autocast(device, self.dtype))

    def end(self, _: nn.Module, __: Any, features: Features | None) -> Features | None:
        self.running.pop().close()
        if features is None:  # the forward pass failed
            return None
        return Features(features.pooled.float(), tuple(x.float() for x in features.pyramid))


def lower(model: Model, dtype: torch.dtype) -> None:
    """Keeps the matrices and kernels of a model in a lower precision, and computes with it."""
    for key, parameter in model.named_parameters():
        if _is_matrix(key, parameter):
            parameter.data = parameter.data.to(dtype)
    lowered = _Lowered(dtype)
    model.register_forward_pre_hook(lowered.begin)
    model.register_forward_hook(lowered.end, always_call=True)
