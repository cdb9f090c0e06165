"""RandAugment with the operations and ranges of timm's increasing policies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skybench.augment.geometry import (
    GroundMap,
    RelativeWindow,
    finest_size,
    linear_map,
    rotation,
    warp,
)
from skybench.augment.photometric import display_sensors
from skybench.core import DatasetCard, Sample

HIGHEST = 10.0  # level at which the end of a range is reached


class Colour(NamedTuple):
    """A colour operation on display images uint8 [T, 3, H, W]."""

    change: Callable[[Tensor, float], Tensor]
    start: float = 0.0  # strength at level 0
    end: float = 0.0  # strength at the highest level
    signed: bool = False  # the strength is negated with probability 1/2


class Move(NamedTuple):
    """A geometric operation, from strength 0 at level 0, in either direction."""

    ground: Callable[[float, tuple[int, int]], GroundMap]
    end: float
    start: float = 0.0
    signed: bool = True


def _colours() -> Any:
    """Torchvision's functions; their import takes a second, for runs with RandAugment only."""
    from torchvision.transforms.v2 import functional

    return functional


def _solarized(x: Tensor, threshold: float) -> Tensor:
    return torch.where(x >= threshold, 255 - x, x)


def _brighter_shade(x: Tensor, more: float) -> Tensor:
    """Brighten pixels darker than 128 (solarize-add)."""
    return torch.where(x < 128, (x.float() + more).clamp(max=255), x.float()).to(x.dtype)


def _sheared(slope: float, shape: tuple[int, int], axis: int) -> GroundMap:
    linear = np.eye(2)
    linear[axis, 1 - axis] = slope
    return linear_map(linear, shape)


# Source: open-mmlab/mmpretrain@0979e78 mmpretrain/datasets/transforms/auto_augment.py,
# RANDAUG_POLICIES["timm_increasing"].
OPERATIONS: tuple[Colour | Move, ...] = (
    Colour(lambda x, _: _colours().autocontrast(x)),
    Colour(lambda x, _: _colours().equalize(x)),
    Colour(lambda x, _: _colours().invert(x)),
    Move(rotation, 30.0),
    Colour(lambda x, bits: _colours().posterize(x, math.ceil(bits)), 4.0, 0.0),
    Colour(_solarized, 256.0, 0.0),
    Colour(_brighter_shade, 0.0, 110.0),
    Colour(lambda x, more: _colours().adjust_saturation(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: _colours().adjust_contrast(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: _colours().adjust_brightness(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: _colours().adjust_sharpness(x, 1 + more), 0.0, 0.9, True),
    Move(lambda slope, shape: _sheared(slope, shape, 0), 0.3),
    Move(lambda slope, shape: _sheared(slope, shape, 1), 0.3),
    Move(lambda share, _: RelativeWindow(0, share, 1, 1).zoom(), 0.45),
    Move(lambda share, _: RelativeWindow(share, 0, 1, 1).zoom(), 0.45),
)


def randaugment(
    sample: Sample, values: tuple[float, ...], rng: np.random.Generator, card: DatasetCard
) -> Sample:
    """Apply random operations, drawn with replacement, each with probability 1/2.

    values: the number of operations, their level (0..10), the standard deviation of the level.
    Colour operations change red, green and blue of display images, all dates alike; geometric
    operations warp every sensor.
    """
    count, level, deviation = values
    for index in rng.integers(len(OPERATIONS), size=int(count)):
        operation = OPERATIONS[index]
        done, negative = rng.random(2) < 0.5
        drawn = float(np.clip(rng.normal(level, deviation), 0, HIGHEST)) / HIGHEST
        strength = operation.start + drawn * (operation.end - operation.start)
        if negative and operation.signed:
            strength = -strength
        if done and isinstance(operation, Move):
            sample = warp(sample, operation.ground(strength, finest_size(sample)), card)
        elif done and isinstance(operation, Colour):
            sample = _coloured(sample, operation, strength, card)
    return sample


def _coloured(sample: Sample, colour: Colour, strength: float, card: DatasetCard) -> Sample:
    images = dict(sample.images)
    for name, channels in display_sensors(card).items():
        if name in images and channels:
            images[name] = images[name].clone()
            images[name][:, channels] = colour.change(images[name][:, channels], strength)
    return replace(sample, images=images)
