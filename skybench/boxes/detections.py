"""What a detector says about an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Detections:
    """The objects found in one image, possibly none, in any order."""

    corners: NDArray[Any]  # [n, 4, 2] float, (x, y) in pixels, in turn around the box
    scores: NDArray[Any]  # [n] float, of which only the order matters
    labels: NDArray[Any]  # [n] integer
