"""Detections, the predictions of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """The detections of one image, possibly none, in any order."""

    corners: NDArray[Any]  # [n, 4, 2] float, (x, y) in pixels, in order around the box
    scores: NDArray[Any]  # [n] float; only their order matters
    labels: NDArray[Any]  # [n] integer
