"""What each augmentation draws and does; see `skybench.augment.apply` for their names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from torch import Tensor

from skybench.augment.geometry import TINY, Window, ground, is_mask, mirrored, moved, turned
from skybench.augment.photometric import display, erased, photometric
from skybench.core import IGNORE, DatasetCard, Sample, UsageError

TRIES = 10  # draws of a rectangle before any is taken; mmsegmentation's and torchvision's
ERASED = (0.02, 1 / 3)  # share of the area; mmpretrain's configurations with RandAugment
ERASED_SHAPE = (3 / 10, 10 / 3)  # height to width; mmpretrain's RandomErasing
CROPPED_SHAPE = (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop

Values = tuple[float, ...]
Rng = np.random.Generator


def flip(axis: int, sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """By a coin mirrored along axis 0 (x) or 1 (y)."""
    return moved(sample, mirrored(axis)) if rng.random() < 0.5 else sample


def rotflip(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """By a coin turned by a few degrees, else by another coin by quarters and mirrored.

    Half turns only where quarters would not fit the frame.
    Source: likyoo/open-cd@3de2b63 opencd/datasets/transforms/transforms.py MultiImgRandomRotFlip.
    """
    shape = ground(sample)
    if rng.random() < 0.5:
        return moved(sample, turned(rng.uniform(-values[0], values[0]), shape))
    if rng.random() < 0.5:
        quarters = rng.integers(4) if shape[0] == shape[1] else 2 * rng.integers(2)
        sample = moved(sample, turned(90.0 * quarters, shape))
        return moved(sample, mirrored(int(rng.integers(2))))
    return sample


def rotate(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """By a coin turned by any angle, the frame stays.

    Source: open-mmlab/mmrotate@0724acc mmrotate/datasets/pipelines/transforms.py PolyRandomRotate
    with rotate_ratio 0.5, angles_range 180, auto_bound False; which boxes stay is decided by
    their area here, by their centre and sides there.
    """
    if rng.random() < 0.5:
        return moved(sample, turned(rng.uniform(-180, 180), ground(sample)))
    return sample


def resize_crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Enlarged or made smaller, then as much as fills the frame; see `_placed`."""
    side = 1 / rng.uniform(values[0], values[1])
    return moved(sample, _placed(sample, (side, side), values[2], rng).enlarged())


def crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """A square of so many pixels of the finest sensor; see `_placed`."""
    height, width = ground(sample)
    sides = values[0] / height, values[0] / width
    return moved(sample, _placed(sample, sides, values[1], rng).cut())


def _placed(sample: Sample, sides: tuple[float, float], most: float, rng: Rng) -> Window:
    """A window of these shares of height and width, at whole pixels of the finest sensor.

    What is larger than the image begins at its upper left, hence is filled below and to the
    right. No class of a mask has more than the share `most` of it, if ten draws find such a place.
    Source: open-mmlab/mmsegmentation: RandomCrop with cat_max_ratio.
    """
    shape = ground(sample)
    margins = [int(max(0.0, n * (1 - s)) + TINY) for n, s in zip(shape, sides, strict=True)]
    for _ in range(TRIES + 1):
        y, x = (rng.integers(m + 1) / n for m, n in zip(margins, shape, strict=True))
        window = Window(y, x, *sides)
        if most == 1 or not is_mask(sample.target) or _largest(sample.target, window) <= most:
            break
    return window


def _largest(mask: Tensor, window: Window) -> float:
    """The largest share that a class has of the known pixels in a window; 1 if none is known."""
    counts = window.of(mask).flatten().bincount(minlength=IGNORE)[:IGNORE]
    return int(counts.max()) / max(int(counts.sum()), 1) if counts.any() else 1.0


def resized_crop(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """A part of the image, of a share of its area, at the size of the whole."""
    window = _rectangle(ground(sample), (values[0], values[1]), CROPPED_SHAPE, rng)
    return moved(sample, window.enlarged())


def erase(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """By chance a rectangle is replaced by noise."""
    if rng.random() >= values[0]:
        return sample
    return erased(sample, _rectangle(ground(sample), ERASED, ERASED_SHAPE, rng), rng)


def _rectangle(
    shape: tuple[int, int], areas: tuple[float, float], shapes: tuple[float, float], rng: Rng
) -> Window:
    """A window anywhere, of a share of the area and with a ratio of height to width in pixels.

    Drawn again where it does not fit, ten times, then cut to fit.
    Source: torchvision's RandomResizedCrop, which takes the centre after ten draws.
    """
    for _ in range(TRIES):
        area = rng.uniform(*areas)
        ratio = math.exp(rng.uniform(*np.log(shapes))) * shape[1] / shape[0]
        height, width = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if max(height, width) <= 1:
            break
    height, width = min(height, 1.0), min(width, 1.0)
    return Window(rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width)


def distort(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """Brightness, contrast and colours of display images; see `photometric`."""
    images = dict(sample.images)
    for name, colours in display(card).items():
        if name in images:
            images[name] = photometric(images[name], colours, values, rng)
    return replace(sample, images=images)


def exchange(sample: Sample, values: Values, rng: Rng, card: DatasetCard) -> Sample:
    """The two dates change places, with their days and their own masks.

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
    of_dates = isinstance(sample.target, Tensor) and sample.target.ndim == 3
    target = sample.target.flip(0) if of_dates else sample.target
    return replace(sample, images=images, days=days, target=target)
