"""RandAugment with the operations and ranges of timm's increasing policies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from skybench.augment.geometry import View, Window, bent, ground, moved, turned
from skybench.augment.photometric import display
from skybench.core import DatasetCard, Sample

HIGHEST = 10.0  # level at which the end of a range is reached


class Colour(NamedTuple):
    """A change of display images uint8 [T, 3, H, W] by a strength."""

    change: Callable[[Tensor, float], Tensor]
    start: float = 0.0  # strength at level 0
    end: float = 0.0  # at the highest level
    signed: bool = False  # by a coin the strength is made negative


class Move(NamedTuple):
    """A move of the ground by a strength, from 0 at level 0, to either side."""

    view: Callable[[float, tuple[int, int]], View]
    end: float
    start: float = 0.0
    signed: bool = True


def _solarized(x: Tensor, threshold: float) -> Tensor:
    return torch.where(x >= threshold, 255 - x, x)


def _brighter_shade(x: Tensor, more: float) -> Tensor:
    """What is darker than 128 becomes brighter."""
    return torch.where(x < 128, (x.float() + more).clamp(max=255), x.float()).to(x.dtype)


def _sheared(slope: float, shape: tuple[int, int], axis: int) -> View:
    linear = np.eye(2)
    linear[axis, 1 - axis] = slope
    return bent(linear, shape)


# Source: open-mmlab/mmpretrain@0979e78 mmpretrain/datasets/transforms/auto_augment.py,
# RANDAUG_POLICIES["timm_increasing"].
OPERATIONS: tuple[Colour | Move, ...] = (
    Colour(lambda x, _: F.autocontrast(x)),
    Colour(lambda x, _: F.equalize(x)),
    Colour(lambda x, _: F.invert(x)),
    Move(turned, 30.0),
    Colour(lambda x, bits: F.posterize(x, math.ceil(bits)), 4.0, 0.0),
    Colour(_solarized, 256.0, 0.0),
    Colour(_brighter_shade, 0.0, 110.0),
    Colour(lambda x, more: F.adjust_saturation(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: F.adjust_contrast(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: F.adjust_brightness(x, 1 + more), 0.0, 0.9, True),
    Colour(lambda x, more: F.adjust_sharpness(x, 1 + more), 0.0, 0.9, True),
    Move(lambda slope, shape: _sheared(slope, shape, 0), 0.3),
    Move(lambda slope, shape: _sheared(slope, shape, 1), 0.3),
    Move(lambda share, _: Window(0, share, 1, 1).enlarged(), 0.45),
    Move(lambda share, _: Window(share, 0, 1, 1).enlarged(), 0.45),
)


def randaugment(
    sample: Sample, values: tuple[float, ...], rng: np.random.Generator, card: DatasetCard
) -> Sample:
    """Some operations, drawn with repetition, each done or not by a coin.

    values: how many, their level (0..10), the deviation of the level. Colours are changed in red,
    green and blue of display images, the same for all dates; the ground moves in every sensor.
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
            sample = moved(sample, operation.view(strength, ground(sample)))
        elif done and isinstance(operation, Colour):
            sample = _coloured(sample, operation, strength, card)
    return sample


def _coloured(sample: Sample, colour: Colour, strength: float, card: DatasetCard) -> Sample:
    images = dict(sample.images)
    for name, channels in display(card).items():
        if name in images and channels:
            images[name] = images[name].clone()
            images[name][:, channels] = colour.change(images[name][:, channels], strength)
    return replace(sample, images=images)
