"""Test time: large images window by window, and at several scales and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skybench.core import UsageError
from skybench.loading import resize


class Place(NamedTuple):
    """A window, in pixels."""

    y: int
    x: int
    height: int
    width: int

    def of(self, images: Tensor) -> Tensor:
        """What it shows of images [..., H, W]."""
        return images[..., self.y : self.y + self.height, self.x : self.x + self.width]


def windows(height: int, width: int, side: int, stride: int) -> list[Place]:
    """Squares that cover an image, every `stride` pixels, the last moved back to end at the edge.

    Along an axis that is shorter than `side` they are as long as the image.
    Raises UsageError for a stride that would leave gaps.
    Source: open-mmlab/mmsegmentation: EncoderDecoder.slide_inference.

    >>> windows(4, 7, 4, 3)
    [Place(y=0, x=0, height=4, width=4), Place(y=0, x=3, height=4, width=4)]
    """
    if not 1 <= stride <= side:
        raise UsageError(f"windows of {side} pixels need a stride from 1 to {side}, not {stride}")
    rows, columns = (
        [*range(0, max(0, length - side), stride), max(0, length - side)]
        for length in (height, width)
    )
    return [Place(y, x, min(side, height), min(side, width)) for y in rows for x in columns]


def merge_windows(logits: Sequence[Tensor], places: Sequence[Place]) -> Tensor:
    """The mean [..., H, W] of logits [..., h, w] where windows overlap; H, W: what they reach."""
    height, width = (max(p[i] + p[i + 2] for p in places) for i in range(2))
    total = logits[0].new_zeros(*logits[0].shape[:-2], height, width)
    count = logits[0].new_zeros(height, width)
    for part, place in zip(logits, places, strict=True):
        place.of(total).add_(part)
        place.of(count).add_(1)
    return total / count


class Scale(NamedTuple):
    """How an image is shown."""

    ratio: float  # of its size
    mirrored: bool  # left to right

    def of(self, images: Tensor) -> Tensor:
        """Images [..., C, H, W] so shown, float32."""
        height, width = (max(1, round(n * self.ratio)) for n in images.shape[-2:])
        shown = resize(images, height, width)
        return shown.flip(-1) if self.mirrored else shown


def scales(ratios: Sequence[float], flip: bool) -> list[Scale]:
    """All ratios, each as it is and, with `flip`, mirrored too."""
    return [Scale(ratio, mirrored) for ratio in ratios for mirrored in [False, True][: 1 + flip]]


def merge_scales(
    probabilities: Sequence[Tensor], shown: Sequence[Scale], height: int, width: int
) -> Tensor:
    """The mean [..., K, height, width] of probabilities [..., K, h, w], each brought back."""
    parts = [
        resize(p.flip(-1) if scale.mirrored else p, height, width)
        for p, scale in zip(probabilities, shown, strict=True)
    ]
    return torch.stack(parts).mean(0)
