"""Building networks on the meta device, and loading a state dict tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skybench.core import Batch, Features
from skybench.core.model import Model

LARGE_PARAMETER = 1 << 16  # elements; smaller parameters are allocated as usual


class _LargeOnMeta(TorchFunctionMode):
    """Put large tensors of `torch.empty` on the meta device, as parameters before their init."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            shaped: Tensor = func(*args, **kwargs | {"device": "meta"})
            if shaped.numel() >= LARGE_PARAMETER:
                return shaped
        return func(*args, **kwargs)


def build_on_meta(build: Callable[[], Model]) -> Model:
    """Build a model with its large parameters on the meta device, where its constructor allows it.

    Buffers, computed tensors and small parameters have values. Random ones differ from those of
    `build()`, as fewer values are drawn before them.
    """
    try:
        with _LargeOnMeta():
            model = build()
    except RuntimeError:  # the constructor computes with its parameters
        return build()
    return build() if any(b.is_meta for b in model.buffers()) else model


def has_all_tensors(model: Model, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state dict has every parameter that is on the meta device."""
    return all(k in state for k, v in model.state_dict().items() if v.is_meta)


@torch.no_grad()
def load_tensors(
    model: Model, state: dict[str, Tensor], dtype: torch.dtype = torch.float32
) -> None:
    """Copy the tensors of a fitting state dict into a model; the dict is emptied on the way.

    Parameters on the meta device are allocated, in `dtype` if `lower_precision` would convert them.
    """
    for key, target in model.state_dict(keep_vars=True).items():
        if key not in state:
            continue
        given = state.pop(key)
        if target.is_meta:
            wanted = dtype if _is_matrix(key, target) else target.dtype
            real = torch.empty_like(target, dtype=wanted, device=torch.get_default_device())
            parameter = nn.Parameter(real, target.requires_grad)
            torch.utils.swap_tensors(target, parameter)  # type: ignore[no-untyped-call]
        target.data.copy_(given)
    state.clear()


def _is_matrix(key: str, parameter: Tensor) -> bool:
    """Return whether a parameter is the weight of a linear or convolutional layer, by its name.

    Autocast casts these, and they are nearly all parameters. Norms, biases, positional embeddings
    and tokens are not.
    """
    return key.endswith("weight") and parameter.ndim > 1 and parameter.is_floating_point()


class _Autocast:
    """Forward hooks that run a model under autocast and return its features in float32."""

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


def lower_precision(model: Model, dtype: torch.dtype) -> None:
    """Convert the layer weights of a model to a lower precision, and run it under autocast."""
    for key, parameter in model.named_parameters():
        if _is_matrix(key, parameter):
            parameter.data = parameter.data.to(dtype)
    autocast = _Autocast(dtype)
    model.register_forward_pre_hook(autocast.begin)
    model.register_forward_hook(autocast.end, always_call=True)
