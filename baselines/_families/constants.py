"""Constants of networks, copied once to each device: a copy in every forward pass waits for it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def constant(values: Sequence[float], like: Tensor) -> Tensor:
    """Return values [N] on the device and in the dtype of a tensor; not to be changed in place.

    Cached, unlike `like.new_tensor(values)`. No buffers of modules, since the same values serve
    several networks, and functions that are none.
    """
    return _constant(tuple(values), like.dtype, like.device)


def per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    """Return values of C channels, [C, 1, 1]; see `constant`."""
    return constant(values, like)[:, None, None]


@functools.lru_cache(maxsize=512)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    import torch

    with torch.inference_mode(False):  # the cached tensor is used in training as well
        return torch.tensor(values, dtype=dtype, device=device)
