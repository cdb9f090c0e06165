"""Simulated images of objects, and backbones of random convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.boxes.geometry import to_corners, to_rotated
from skybench.core import Boxes, Recipe
from skybench.heads.dense import Levels

FOUR = ((8, 4), (8, 8), (8, 16), (8, 32))
ONE = ((8, 16),)
CLASSES = ("disc", "bar", "box")
RECIPE = Recipe("frozen", epochs=2, batch=2, lr=1e-3, weight_decay=0.01, width=8)


def boxes(rows: Sequence[Sequence[float]], labels: Sequence[int], side: int = 64) -> Boxes:
    """Objects from (cx, cy, w, h, angle)."""
    corners = to_corners(torch.tensor(rows, dtype=torch.float32).reshape(-1, 5))
    label = torch.tensor(labels, dtype=torch.int64)
    return Boxes(corners, label, torch.zeros(len(label), dtype=torch.bool), (side, side))


class Memory:
    """Random convolutions of images in which objects have their own colours; see core.Source."""

    def __init__(self, targets: Sequence[Boxes], levels: Levels = FOUR, side: int = 64) -> None:
        made = torch.Generator().manual_seed(0)
        images = torch.stack([self.painted(t, side) for t in targets])
        images = images + 0.05 * torch.randn(images.shape, generator=made)
        self.targets, self.levels = targets, []
        for channels, stride in levels:
            weight = torch.randn(channels, 3, stride, stride, generator=made) / stride
            self.levels.append(F.conv2d(images, weight, stride=stride))

    @staticmethod
    def painted(target: Boxes, side: int) -> Tensor:
        image = torch.zeros(3, side, side)
        y, x = torch.meshgrid(*[torch.arange(side) + 0.5] * 2, indexing="ij")
        for (cx, cy, w, h, angle), label in zip(
            to_rotated(target.corners).tolist(), target.labels.tolist(), strict=True
        ):
            along = (x - cx) * math.cos(angle) + (y - cy) * math.sin(angle)
            across = (y - cy) * math.cos(angle) - (x - cx) * math.sin(angle)
            image[label][(along.abs() < w / 2) & (across.abs() < h / 2)] = 1
        return image

    def __len__(self) -> int:
        return len(self.targets)

    def pooled(self) -> Tensor:
        return self.levels[-1].mean((2, 3))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(x[list(indices)] for x in self.levels)

    def target(self, index: int) -> Any:
        return self.targets[index]

    def labels(self) -> Tensor:
        return torch.zeros(len(self), dtype=torch.long)


def scenes(turned: bool) -> list[Boxes]:
    """Two images with three objects each."""
    angle = 0.5 if turned else 0.0
    return [
        boxes([(20, 20, 30, 24, 0), (68, 30, 44, 26, angle), (40, 72, 26, 26, 0)], [0, 1, 2], 96),
        boxes([(66, 70, 34, 28, 0), (26, 60, 22, 44, 0), (62, 24, 46, 28, angle)], [0, 2, 1], 96),
    ]


class Live(Memory):
    """The same, with convolutions that can learn."""

    def __init__(self, targets: Sequence[Boxes], levels: Levels = FOUR, side: int = 64) -> None:
        super().__init__(targets, levels, side)
        made = torch.Generator().manual_seed(1)
        self.images = torch.stack([self.painted(t, side) for t in targets])
        self.weights = tuple(
            (torch.randn(channels, 3, stride, stride, generator=made) / stride).requires_grad_()
            for channels, stride in levels
        )

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        images = self.images[list(indices)]
        return tuple(F.conv2d(images, w, stride=w.shape[-1]) for w in self.weights)
