"""Pooled features in memory, for tests of heads that classify images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Memory:
    """Pooled features and class ids; see core.Source."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.ids = features, labels

    def __len__(self) -> int:
        return len(self.ids)

    def pooled(self) -> Tensor:
        return self.features

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return ()

    def target(self, index: int) -> Any:
        return int(self.ids[index])

    def labels(self) -> Tensor:
        return self.ids


def answers(scores: Iterable[Any]) -> list[int]:
    return [int(np.argmax(one)) for one in scores]


def clusters(count: int, seed: int, centres: Tensor, noise: float) -> Memory:
    """Samples around the centres [classes, D], each class in turn."""
    made = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(centres)
    drawn = torch.randn(count, centres.shape[1], generator=made)
    return Memory(centres[labels] + noise * drawn, labels)


def random_centres(classes: int, dim: int) -> Tensor:
    """The same for the same arguments."""
    return torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
