"""Where a loaded model's parameters come from, and how well the file fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIN_COVERAGE = 0.99  # the least share of the model's elements that a file must provide


@dataclass(frozen=True)
class Coverage:
    """How a checkpoint covers a model; all keys are those of the model's `state_dict`."""

    share: float  # of the elements of the expected parameters and persistent float buffers
    missing: tuple[str, ...]  # in the model, not in the file
    unexpected: tuple[str, ...]  # in the file, not in the model
    mismatched: tuple[str, ...]  # in both, with different shapes or dtypes
    drawn: tuple[str, ...] = ()  # missing and randomly initialised, not to a constant

    @property
    def enough(self) -> bool:
        """Whether the file may be loaded; if not, it belongs to another network."""
        return self.share >= MIN_COVERAGE and not self.mismatched


@dataclass(frozen=True)
class LoadInfo:
    """Where a model's parameters come from."""

    source: Literal["file", "state_dict", "random", "none"]  # none: nothing to load
    path: str = ""
    sha256: str = ""
    coverage: Coverage | None = None
    note: str = ""  # for a reader of the record
