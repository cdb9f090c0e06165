"""How dense features are rounded on disk: to float16, or to int8 with a scale for each channel.

Features that are computed on request are rounded in the same way, so that a head reads equal
values whether they were kept or not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skybench.core import UsageError

KINDS = ("", "int8")  # "": float16
LARGEST = 65504  # of float16


def require_kind(kind: str) -> None:
    """Raise UsageError unless `kind` is one of KINDS."""
    if kind not in KINDS:
        raise UsageError(f"Expected rounding to be 'int8', or left out, but got {kind!r}.")


def to_stored(level: Tensor, kind: str = "") -> tuple[Tensor, ...]:
    """Round feature maps float [..., C, H, W] for the disk.

    Returns them as float16, clamped to its range; for "int8" as integers of -127 to 127 and the
    scales, float32 [..., C]: of each map its largest magnitude / 127.

    >>> [x.tolist() for x in to_stored(torch.tensor([[[2.0, -4.0]]]), "int8")]
    [[[[64, -127]]], [0.031496062874794006]]
    """
    if kind != "int8":
        return (level.clamp(-LARGEST, LARGEST).half(),)
    scale = level.float().abs().amax((-2, -1)) / 127
    # A map of zeros has no scale; one that is not finite stays so by its scale.
    rows = level.float() / scale.clamp(min=1e-30)[..., None, None]
    return rows.nan_to_num().round().to(torch.int8), scale


def from_stored(stored: Sequence[Tensor]) -> Tensor:
    """Return the float32 feature maps of what `to_stored` gave."""
    level = stored[0].float()
    return level if len(stored) == 1 else level * stored[1][..., None, None]


def rounded(level: Tensor, kind: str = "") -> Tensor:
    """Return feature maps float32 as they come back from the disk."""
    return from_stored(to_stored(level, kind))


def relative_error(level: Tensor, kind: str) -> float:
    """Return the norm of what rounding changes, over that of the feature maps; 0 for zeros."""
    exact = level.double()
    change = (rounded(level, kind).double() - exact).norm()
    return float(change / exact.norm()) if exact.any() else 0.0
