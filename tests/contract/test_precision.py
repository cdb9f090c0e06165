"""Every model under autocast: it runs, and its features stay near those of float32."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from ._batches import random_batch
from .test_models import TINY, model, tensors

# Relative distance of all features: some four times that of rounding each layer's output, which is
# 2^-9 in bfloat16 and 2^-12 in float16. EfficientNet (imagenet) has the largest.
BOUNDS = {torch.bfloat16: 0.05, torch.float16: 0.01}


@functools.cache
def features(name: str, variant: str, dtype: torch.dtype) -> tuple[Tensor, ...]:
    tiny = model(name, variant)
    names = [sensor.name for sensor in tiny.card.inputs]
    given = random_batch(tiny.card, names, 2, 2 if tiny.card.temporal else 1, square=True)
    with torch.inference_mode(), torch.autocast("cpu", dtype, dtype != torch.float32):
        return tensors(tiny(given))


@pytest.mark.parametrize("dtype", BOUNDS, ids=str)
@pytest.mark.parametrize(("name", "variant"), TINY)
def test_features_under_autocast_are_near_those_of_float32(
    name: str, variant: str, dtype: torch.dtype
) -> None:
    full, low = features(name, variant, torch.float32), features(name, variant, dtype)
    for a, b in zip(full, low, strict=True):
        assert torch.isfinite(b).all()
        assert (a - b.float()).norm() <= BOUNDS[dtype] * a.norm()
