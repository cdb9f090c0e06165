"""The settings of a Prithvi network, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Arch:
    """Settings of a network; the defaults are those of the first generation."""

    generation: Literal[1, 2] = 1  # whose statistics scale the input
    image: int = 224  # side in pixels of the stored positional embedding
    patch: int = 16
    frames: int = 3  # dates per forward pass
    dim: int = 768
    depth: int = 12
    heads: int = 12
    located: bool = False  # reads time and place
