"""Heads that read several dates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skybench.core import FitContext
from skybench.heads.dense import (
    DateDifference,
    Dense,
    EachDate,
    Levels,
    Linear,
    Standardise,
    UNet,
    UPerNet,
)

from ._dense import FOUR, ONE, RECIPE, Memory


def series(levels: Levels, masks: np.ndarray, dates: int) -> Memory:
    """Every date's maps show that date's mask, with noise and an offset of the sample's own."""
    made = torch.Generator().manual_seed(1)
    stacked = torch.from_numpy(masks).float().reshape(len(masks), dates, 1, 64, 64)
    offset = 0.3 * torch.randn(len(masks), 1, 1, 1, 1, generator=made)
    maps = []
    for channels, stride in levels:
        seen = F.avg_pool2d(stacked.flatten(0, 1), stride)
        seen = seen.reshape(len(masks), dates, 1, *seen.shape[-2:])
        noise = torch.randn(len(masks), dates, channels, *seen.shape[-2:], generator=made)
        maps.append(2 * seen + offset + 0.1 * noise)
    return Memory(maps, masks)


@pytest.mark.parametrize("levels", [FOUR, ONE])
@pytest.mark.parametrize("kind", [Linear, UPerNet, UNet])
def test_a_change_is_found_from_the_difference_of_two_dates(levels: Levels, kind: Any) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 2, (2, 6, 4, 4)).astype(np.uint8).repeat(16, 2).repeat(16, 3)
    pair = series(levels, np.stack([before, after], 1), 2)
    changes = Memory(pair.levels, before ^ after)
    head = Dense(
        lambda *a: DateDifference(kind(*a)), levels, 2, replace(RECIPE, epochs=40, batch=3, lr=1e-2)
    )
    head.fit(changes, None, FitContext(0))
    found = np.stack(list(head.predict(changes)))
    assert found.shape == (6, 64, 64)
    assert (found == changes.masks).mean() > 0.78  # one map of 4 x 4 cells blurs the edges


def test_each_date_gets_a_map_of_its_own() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (4, 3, 4, 4)).astype(np.uint8).repeat(16, 2).repeat(16, 3)
    source = series(FOUR, masks.copy(), 3)
    masks[0, 1, :32] = 255
    source.masks = masks
    head = Dense(
        lambda *a: EachDate(UPerNet(*a)), FOUR, 2, replace(RECIPE, epochs=30, batch=2, lr=1e-2)
    )
    chosen = head.fit(source, None, FitContext(0))
    assert chosen["loss"][-1] < chosen["loss"][0]
    found = np.stack(list(head.predict(source)))
    assert found.shape == masks.shape
    assert (found == masks)[masks != 255].mean() > 0.9


def test_the_scale_of_a_series_is_that_of_all_its_dates() -> None:
    levels = [torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))]
    masks = np.zeros((3, 2, 32, 32), np.uint8)
    scaled = Standardise(Memory(levels, masks))(levels)[0]
    torch.testing.assert_close(scaled.mean((0, 1, 3, 4)), torch.zeros(4), atol=1e-5, rtol=0)
    assert scaled.shape == levels[0].shape
