"""Mixup and CutMix: each image of a batch is mixed with another one, and so are their classes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.augment.geometry import RelativeWindow
from skybench.core import Batch

SWITCH = 0.5  # chance of CutMix where both are asked for; timm's default


class Mixing(NamedTuple):
    """How a batch is mixed with itself in reverse order."""

    share: float  # of an image's own classes in its target, 0 to 1
    window: RelativeWindow | None = None  # what CutMix takes from the other image; None: mixup


def draw_mixing(
    mixup: float, cutmix: float, shape: tuple[int, int], rng: np.random.Generator
) -> Mixing:
    """Draw mixup or CutMix for a batch; mixup, cutmix: alphas of the share's beta distribution.

    shape: height and width of the images in pixels, of the finest sensor. The share of CutMix is
    that of the pixels that stay.
    Source: timm.data.mixup.Mixup in its mode "batch", with probability 1; Zhang et al. 2018 (arXiv
    1710.09412), Yun et al. 2019 (arXiv 1905.04899).
    """
    cuts = bool(cutmix) and (not mixup or rng.random() < SWITCH)
    alpha = cutmix if cuts else mixup
    share = float(rng.beta(alpha, alpha))
    if not cuts:
        return Mixing(share)
    height, width = shape
    window = cut_window(share, (int(rng.integers(height)), int(rng.integers(width))), shape)
    return Mixing(1 - window.height * window.width, window)


def cut_window(share: float, centre: tuple[int, int], shape: tuple[int, int]) -> RelativeWindow:
    """Return a window of the area 1 - share about a pixel, clipped to the image.

    centre: (y, x), shape: (height, width), in pixels; sides are rounded as in timm's rand_bbox.
    """
    ranges = []
    for middle, side in zip(centre, shape, strict=True):
        cut = int(side * math.sqrt(1 - share))
        start, end = max(0, middle - cut // 2), min(side, middle + (cut + 1) // 2)
        ranges.append((start / side, (end - start) / side))
    (y, height), (x, width) = ranges
    return RelativeWindow(y, x, height, width)


def mix_images(batch: Batch, mixing: Mixing) -> Batch:
    """Mix every image with the one at its place from the end, in all sensors and dates alike.

    Images become float32. A date that one of the two does not have is marked as not seen.
    """

    def mixed(x: Tensor) -> Tensor:
        x = x.float()
        other = x.flip(0)
        if mixing.window is None:
            return mixing.share * x + (1 - mixing.share) * other
        x = x.clone()
        mixing.window.pixels(x).copy_(mixing.window.pixels(other))
        return x

    images = {name: mixed(x) for name, x in batch.images.items()}
    return replace(batch, images=images, seen={n: s & s.flip(0) for n, s in batch.seen.items()})


def mix_classes(targets: Tensor, classes: int, mixing: Mixing) -> Tensor:
    """Return soft targets [B, K] float32 of class ids [B] or of classes [B, K], 0 or 1."""
    own = F.one_hot(targets.long(), classes) if targets.ndim == 1 else targets
    own = own.to(torch.float32)
    return mixing.share * own + (1 - mixing.share) * own.flip(0)
