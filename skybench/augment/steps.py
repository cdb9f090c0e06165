"""The augmentations and their random draws; `skybench.augment.apply` has their names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skybench.augment.geometry import (
    TINY,
    RelativeWindow,
    finest_size,
    reflection,
    rotation,
    warp,
)
from skybench.augment.photometric import display_sensors, erase_window, photometric
from skybench.core import DatasetCard, Sample, Target, UsageError

TRIES = 10  # draws of a rectangle before any is accepted; as mmsegmentation and torchvision
ERASED = (0.02, 1 / 3)  # share of the area; mmpretrain's configurations with RandAugment
ERASED_SHAPE = (3 / 10, 10 / 3)  # height to width; mmpretrain's RandomErasing
CROPPED_SHAPE = (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop

Values = tuple[float, ...]
Rng = np.random.Generator


def flip(axis: int, sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Mirror along axis 0 (x) or 1 (y) with probability 1/2."""
    return warp(sample, reflection(axis), card) if rng.random() < 0.5 else sample


def rotflip(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Rotate by a few degrees with probability 1/2, else with 1/2 by quarter turns and mirror.

    Only half turns if quarter turns would not fit the frame.
    Source: likyoo/open-cd@3de2b63 opencd/datasets/transforms/transforms.py MultiImgRandomRotFlip.
    """
    shape = finest_size(sample)
    if rng.random() < 0.5:
        return warp(sample, rotation(rng.uniform(-values[0], values[0]), shape), card)
    if rng.random() < 0.5:
        quarters = rng.integers(4) if shape[0] == shape[1] else 2 * rng.integers(2)
        sample = warp(sample, rotation(90.0 * quarters, shape), card)
        return warp(sample, reflection(int(rng.integers(2))), card)
    return sample


def quarter(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Rotate by a quarter turn, a half, three quarters or not at all, a chance of 1/4 each.

    A half turn or none, at 1/2 each, if quarter turns would not fit the frame.
    Source: ServiceNow/seasonal-contrast@8285173 datasets/oscd_datamodule.py RandomRotation;
    ViTAE-Transformer/ViTAE-Transformer-Remote-Sensing@1b10162 Change Detection/utils/transforms.py
    RandomFixRotate.
    """
    shape = finest_size(sample)
    turns = rng.integers(4) if shape[0] == shape[1] else 2 * rng.integers(2)
    return warp(sample, rotation(90.0 * turns, shape), card) if turns else sample


def rotate(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Rotate by any angle with probability 1/2, in the same frame.

    Source: open-mmlab/mmrotate@0724acc mmrotate/datasets/pipelines/transforms.py PolyRandomRotate
    with rotate_ratio 0.5, angles_range 180, auto_bound False; which boxes are kept is decided by
    their area here, by their centre and sides there.
    """
    if rng.random() < 0.5:
        return warp(sample, rotation(rng.uniform(-180, 180), finest_size(sample)), card)
    return sample


def resize_crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Rescale by a random factor, then crop or pad to the frame; see `_placed`."""
    side = 1 / rng.uniform(values[0], values[1])
    target = card.target_of(sample.target)
    window = _placed(sample, target, (side, side), values[2], rng)
    return warp(sample, window.zoom(), card)


def crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Crop a random square, with its side in pixels of the finest sensor; see `_placed`."""
    height, width = finest_size(sample)
    sides = values[0] / height, values[0] / width
    window = _placed(sample, card.target_of(sample.target), sides, values[1], rng)
    return warp(sample, window.crop(), card)


def _placed(
    sample: Sample, target: Target, sides: tuple[float, float], most: float, rng: Rng
) -> RelativeWindow:
    """A random window of relative height and width, at whole pixels of the finest sensor.

    A window larger than the image begins at its upper left, so it is padded below and to the
    right. No class of a mask covers more than the share `most`, if one of ten draws allows it.
    Source: open-mmlab/mmsegmentation: RandomCrop with cat_max_ratio.
    """
    shape = finest_size(sample)
    margins = [int(max(0.0, n * (1 - s)) + TINY) for n, s in zip(shape, sides, strict=True)]
    for _ in range(TRIES + 1):
        y, x = (rng.integers(m + 1) / n for m, n in zip(margins, shape, strict=True))
        window = RelativeWindow(y, x, *sides)
        if most == 1 or target.kind not in ("mask", "masks"):
            break
        if _largest_share(window.pixels(torch.as_tensor(sample.target)), target) <= most:
            break
    return window


def _largest_share(mask: Tensor, target: Target) -> float:
    """The largest share of a class among the labelled pixels; 1 if no pixel has a label."""
    labelled = mask[mask != target.fill]
    return int(labelled.bincount().max()) / len(labelled) if len(labelled) else 1.0


def resized_crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Crop a random share of the area and resize it to the size of the image."""
    window = _rectangle(finest_size(sample), (values[0], values[1]), CROPPED_SHAPE, rng)
    return warp(sample, window.zoom(), card)


def erase(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Replace a random rectangle by noise, with the given probability."""
    if rng.random() >= values[0]:
        return sample
    return erase_window(sample, _rectangle(finest_size(sample), ERASED, ERASED_SHAPE, rng), rng)


def _rectangle(
    shape: tuple[int, int], areas: tuple[float, float], shapes: tuple[float, float], rng: Rng
) -> RelativeWindow:
    """A random window; areas: range of its share of the area, shapes: of height / width in pixels.

    Drawn again up to ten times if it does not fit, then clipped.
    Source: torchvision's RandomResizedCrop, which takes the centre after ten draws.
    """
    for _ in range(TRIES):
        area = rng.uniform(*areas)
        ratio = math.exp(rng.uniform(*np.log(shapes))) * shape[1] / shape[0]
        height, width = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if max(height, width) <= 1:
            break
    height, width = min(height, 1.0), min(width, 1.0)
    return RelativeWindow(rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)


def distort(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Change brightness, contrast and colours of display images; see `photometric`."""
    images = dict(sample.images)
    for name, colours in display_sensors(card).items():
        if name in images:
            images[name] = photometric(images[name], colours, values, rng)
    return replace(sample, images=images)


def exchange(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Swap the two dates, with their days and masks, with the given probability.

    A sensor with a single date keeps it.
    Source: likyoo/open-cd@3de2b63 opencd/datasets/transforms/transforms.py MultiImgExchangeTime.
    """
    dates = sorted({len(x) for x in sample.images.values()})
    if dates not in ([2], [1, 2]):
        raise UsageError(f"augmentation 'exchange' needs two dates, but {sample.key} has {dates}")
    if rng.random() >= values[0]:
        return sample
    images = {name: x.flip(0) for name, x in sample.images.items()}
    days = {name: x.flip(0) for name, x in sample.days.items()}
    target = sample.target
    if card.target_of(target).kind == "masks":
        target = torch.as_tensor(target).flip(0)
    return replace(sample, images=images, days=days, target=target)
