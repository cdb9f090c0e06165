"""Pyramids in memory, for tests of dense heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import FitContext, Recipe
from skybench.heads.dense import (
    Dense,
    Levels,
)

FOUR = ((4, 4), (6, 8), (8, 16), (10, 32))  # (channels, stride)
ONE = ((5, 16),)
RECIPE = Recipe("frozen", epochs=2, batch=2, lr=1e-3, weight_decay=0.01, width=8)


def pyramid(levels: Levels, count: int, side: int, seed: int = 0) -> list[Tensor]:
    made = torch.Generator().manual_seed(seed)
    return [torch.randn(count, c, side // s, side // s, generator=made) for c, s in levels]


class Memory:
    """Pyramids and masks; see core.Source."""

    def __init__(self, levels: Sequence[Tensor], masks: np.ndarray) -> None:
        self.levels, self.masks = levels, masks
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.masks)

    def pooled(self) -> Tensor:
        return self.levels[-1].mean((2, 3))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        self.asked.append(len(indices))
        return tuple(x[list(indices)] for x in self.levels)

    def target(self, index: int) -> Any:
        return self.masks[index]

    def labels(self) -> Tensor:
        return torch.zeros(len(self), dtype=torch.long)


def noise(levels: Levels, count: int, seed: int = 0) -> Memory:
    masks = np.random.default_rng(seed).integers(0, 3, (count, 64, 64)).astype(np.uint8)
    return Memory(pyramid(levels, count, 64, seed), masks)


def halves(levels: Levels) -> Memory:
    """4 samples: each quarter of an image has a class, and features with a trace of it."""
    quarters = np.random.default_rng(0).integers(0, 3, (4, 2, 2)).astype(np.uint8)
    masks = quarters.repeat(32, 1).repeat(32, 2)
    maps = pyramid(levels, 4, 64)
    for x in maps:
        small = F.interpolate(torch.from_numpy(quarters)[:, None].float(), x.shape[-2:])
        x[:, :1] += 3 * small
    return Memory(maps, masks)


def predictions(
    build: Callable[..., nn.Module],
    train: Memory,
    test: Memory,
    recipe: Recipe = RECIPE,
    seed: int = 0,
) -> list[np.ndarray]:
    levels = [(x.shape[1], 64 // x.shape[2]) for x in train.levels]
    head = Dense(build, levels, 3, recipe)
    chosen = head.fit(train, None, FitContext(seed))
    assert np.isfinite(chosen["loss"]).all()
    return list(head.predict(test))
