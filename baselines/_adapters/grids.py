"""Checks that the sensors of a batch lie on one grid."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from skybench.core import CannotRun


def common_size(model: str, images: Iterable[Tensor]) -> tuple[int, int]:
    """Return the height and width of all images, [..., H, W]. Raises CannotRun if they differ."""
    sizes = {(x.shape[-2], x.shape[-1]) for x in images}
    if len(sizes) > 1:
        raise CannotRun(f"{model} reads sensors on one grid, but got sizes {sorted(sizes)}")
    (size,) = sizes
    return size
