"""Photometric augmentation: colours of display images, and erased rectangles in any unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skybench.augment.geometry import RelativeWindow
from skybench.core import UINT8, DatasetCard, Sample

COLOURS = ("red", "green", "blue")
HUES = 180  # steps of a full circle, as OpenCV counts


def display_sensors(card: DatasetCard) -> dict[str, list[int]]:
    """Return the sensors in display units: name -> channels of red, green and blue, or []."""
    return {
        sensor.name: [sensor.bands.index(c) for c in COLOURS if {*COLOURS} <= {*sensor.bands}]
        for sensor in card.sensors
        if sensor.unit == UINT8
    }


def photometric(
    x: Tensor, colours: list[int], values: tuple[float, ...], rng: np.random.Generator
) -> Tensor:
    """Jitter brightness, contrast, saturation and hue of display images [T, C, H, W], per date.

    values: the largest brightness shift, the range of contrast factors, the range of saturation
    factors, the largest hue shift in steps of 2 degrees. Each of the four is applied with
    probability 1/2, contrast before or after the colours. Saturation and hue are those of HSV and
    change red, green and blue only; `colours` are their channels.
    Source: open-mmlab/mmsegmentation: PhotoMetricDistortion; each date for itself as in
    likyoo/open-cd@3de2b63 opencd/datasets/transforms/transforms.py.
    """
    return torch.stack([_distorted(date, colours, values, rng) for date in x])


def _distorted(
    x: Tensor, colours: list[int], values: tuple[float, ...], rng: np.random.Generator
) -> Tensor:
    """One date [C, H, W]."""
    from torchvision.transforms.v2.functional import adjust_hue  # a second, for these runs only

    delta, low, high, pale, strong, hue = values
    factor = rng.uniform(low, high) if rng.random() < 0.5 else 1.0
    late = rng.random() < 0.5
    y = x.to(torch.float32, copy=True)
    if rng.random() < 0.5:
        y = (y + rng.uniform(-delta, delta)).clamp(0, 255)
    if not late:
        y = (y * factor).clamp(0, 255)
    if colours and rng.random() < 0.5:
        y[colours] = adjust_saturation(y[colours], rng.uniform(pale, strong))
    if colours and rng.random() < 0.5:
        y[colours] = adjust_hue(y[colours] / 255, rng.uniform(-hue, hue) / HUES) * 255
    if late:
        y = y * factor
    return y.round().clamp(0, 255).to(x.dtype)


def adjust_saturation(rgb: Tensor, factor: float) -> Tensor:
    """Multiply the HSV saturation by a factor, clipped at 1; hue and value stay. rgb: [3, H, W].

    >>> red = torch.tensor([200.0, 100.0, 100.0]).reshape(3, 1, 1)
    >>> adjust_saturation(red, 1.5).flatten().tolist()
    [200.0, 50.0, 50.0]
    """
    value = rgb.amax(0)
    spread = value - rgb.amin(0)
    most = torch.where(spread > 0, value / spread.clamp(min=1e-6), 1.0)
    return value - (value - rgb) * most.clamp(max=factor)


def erase_window(sample: Sample, window: RelativeWindow, rng: np.random.Generator) -> Sample:
    """Replace a rectangle of the ground by noise in every sensor and date; targets stay.

    The noise has the mean and standard deviation of its band and date and is clipped to their
    range, so that it fits any unit.
    Source: open-mmlab/mmpretrain@0620ee4 mmpretrain/datasets/transforms/processing.py
    RandomErasing, mode "rand", whose noise has the moments of ImageNet.
    """
    images = {}
    for name, x in sample.images.items():
        y = x.float()
        mean, deviation = y.mean((-2, -1), True), y.std((-2, -1), False, keepdim=True)
        low, high = y.amin((-2, -1), True), y.amax((-2, -1), True)
        drawn = rng.standard_normal(window.pixels(y).shape, np.float32)
        noise = (mean + deviation * torch.from_numpy(drawn)).clamp(low, high)
        y = x.clone()
        window.pixels(y).copy_(noise if x.is_floating_point() else noise.round())
        images[name] = y
    return replace(sample, images=images)
