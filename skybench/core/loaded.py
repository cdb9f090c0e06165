"""Where a loaded model's parameters come from, and how well the file fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# Which of several sets of weights in a file is read; WHICH is the setting that says it, as in
# `--arch weights=ema`. The words of each pair mean the same where a file has only one of them.
WHICH, SETS = "weights", ("raw", "student", "ema", "teacher")
KEPT = "skybench"  # the key of what `--keep-weights` writes about a training, beside its tensors


@dataclass(frozen=True)
class Coverage:
    """How a checkpoint covers a model; keys are those of the model's `state_dict`.

    A checkpoint is used whole or refused: every parameter is filled, and every tensor of the file
    that takes part in the forward pass has its place.
    """

    share: float  # of the elements of the expected parameters and persistent float buffers
    missing: tuple[str, ...]  # in the model, not in the file
    unexpected: tuple[str, ...]  # in the file, not in the model
    mismatched: tuple[str, ...]  # in both, with different shapes or dtypes
    drawn: tuple[str, ...] = ()  # missing and randomly initialised, not to a constant
    lacking: tuple[str, ...] = ()  # missing, and not declared as missing by the model's card
    inside: tuple[str, ...] = ()  # the file's own keys that belong to the network but have no place
    unused: tuple[str, ...] = ()  # all other tensors that were left out, as "decoder (98)"

    @property
    def enough(self) -> bool:
        """Whether the file may be loaded; if not, it belongs to another network."""
        return self.share > 0 and not (self.mismatched or self.lacking or self.inside)


@dataclass(frozen=True)
class FineTuned:
    """The trainings that weights kept by `--keep-weights` come from."""

    title: str = "an unnamed dataset"  # of the dataset, or of several, "AID, then EuroSAT"
    image_sources: tuple[str, ...] = ()  # see `DatasetCard.image_source`
    train: frozenset[int] = frozenset()  # `sample_hash` of each training sample

    def overlap(self, dataset: str, keys: Iterable[str]) -> int:
        """Return how many samples of a dataset were among the training samples."""
        return sum(sample_hash(dataset, key) in self.train for key in keys)


def sample_hash(dataset: str, key: str) -> int:
    """Return a number of 63 bits for a sample, which file names alone do not give away.

    >>> sample_hash("aid", "airport_1") == sample_hash("aid", "airport_2")
    False
    """
    digest = hashlib.sha256(f"{dataset}\0{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True)
class LoadInfo:
    """Where a model's parameters come from."""

    source: Literal["file", "state_dict", "random", "none"]  # none: nothing to load
    path: str = ""
    sha256: str = ""
    coverage: Coverage | None = None
    note: str = ""  # for a reader of the record
    decided: Mapping[str, Any] = field(default_factory=dict)  # settings that follow from the file
    trained_on: tuple[str, ...] = ()  # more datasets that the weights were trained on
    fine_tuned: FineTuned | None = None
