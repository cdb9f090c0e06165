"""What is known of a model's weights once they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ENOUGH = 0.99  # share of the elements that must match


@dataclass(frozen=True)
class Coverage:
    """How a file's keys compare with a model's; the keys are the model's own."""

    share: float  # of the elements of parameters and persistent float buffers that should come
    missing: tuple[str, ...]  # the model has them, the file does not
    unexpected: tuple[str, ...]  # the file has them, the model does not
    mismatched: tuple[str, ...]  # both have them, with different shapes or kinds of numbers
    drawn: tuple[str, ...] = ()  # of the missing, those that are random, not constant as 0 or 1

    @property
    def enough(self) -> bool:
        """Whether the file may be loaded: else it is another network's."""
        return self.share >= ENOUGH and not self.mismatched


@dataclass(frozen=True)
class LoadInfo:
    """Where a model's numbers come from."""

    source: Literal["file", "state_dict", "random", "none"]  # none: nothing to load
    path: str = ""
    sha256: str = ""
    coverage: Coverage | None = None
    note: str = ""  # what a reader of the record should know
