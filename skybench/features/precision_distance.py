"""How far the features of each precision are from those of float32, and how fast they come."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from skybench.core import Batch
from skybench.features.extractor import Extractor, stack_dates

LOWER = ("tf32", "fp16", "bf16")
LIMIT = 0.02  # largest distance of a precision that is taken without being asked for by name


class Measured(NamedTuple):
    """What was measured of a precision."""

    distance: float  # the largest of `pooled` and of each level; 0 for float32
    images_per_s: float


def measure_precisions(
    extractor: Extractor, batches: Sequence[Batch], lower: Sequence[str] = LOWER
) -> dict[str, Measured]:
    """Extract batches in float32 ("") and in each lower precision; give distances and speeds.

    A distance is the Frobenius norm of the difference over that of float32's features, both after
    the mean over all images is taken off, which a head does as well. It is infinite of a precision
    that the network cannot be computed in.
    """
    exact, rate = _timed(replace(extractor, precision=""), batches)
    found = {"": Measured(0.0, rate)}
    for precision in lower:
        try:
            arrays, rate = _timed(replace(extractor, precision=precision), batches)
        except RuntimeError:  # an operation without a kernel for it
            found[precision] = Measured(math.inf, 0.0)
            continue
        apart = [relative_distance(a, b) for a, b in zip(arrays, exact, strict=True)]
        found[precision] = Measured(max(apart), rate)
    return found


def fastest_within(measured: Mapping[str, Measured], limit: float = LIMIT) -> str:
    """Return the fastest precision of those within a distance of float32.

    >>> fastest_within({"": Measured(0, 10), "bf16": Measured(0.1, 30), "fp16": Measured(0.01, 20)})
    'fp16'
    """
    near = {name: m.images_per_s for name, m in measured.items() if m.distance <= limit}
    return max(near, key=lambda name: near[name])


def relative_distance(features: Tensor, exact: Tensor) -> float:
    """Return the distance of features [N, …] from exact ones, relative, without their means.

    Infinite where a value is not finite.
    """
    centred, truth = (x.double() - x.double().mean(0) for x in (features, exact))
    if not centred.isfinite().all():
        return math.inf
    return float((centred - truth).norm() / truth.norm().clamp(min=1e-12))


def _timed(extractor: Extractor, batches: Sequence[Batch]) -> tuple[list[Tensor], float]:
    """The features of all batches, `pooled` first, and images per second, after a warm-up."""
    extractor(batches[0])
    start = time.perf_counter()
    found = [stack_dates(extractor(batch)) for batch in batches]
    spent = time.perf_counter() - start
    arrays = zip(*((f.pooled, *f.pyramid) for f in found), strict=True)
    return [torch.cat(x) for x in arrays], sum(len(b.keys) for b in batches) / spent
