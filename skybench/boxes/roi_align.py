"""RoI align of rotated boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def rotated_roi_align(
    features: Tensor, boxes: Sequence[Tensor], scale: float, size: int = 7, samples: int = 2
) -> Tensor:
    """Return features [N, C, size, size] of rotated boxes, image by image.

    features: [B, C, H, W]; boxes: for each image [n, 5] in pixels of the image; scale: pixels of
    `features` for one of the image (1 / stride). The first row of the result lies along the side
    w of the box at its top (at angle 0), so with `le90` its long side. Each cell is the mean of
    samples x samples points, interpolated bilinearly; a point up to one pixel outside takes the
    nearest pixel, a point further out 0. Gradients flow to features and boxes.
    Source: RoIAlignRotated with aligned=True (half a pixel off, as pixel centres are at
    0.5), clockwise=True, sampling ratio 2 (open-mmlab/mmcv@0607103: roi_align_rotated.cpp).
    """
    pooled = [
        _aligned(one, at * at.new_tensor([scale, scale, scale, scale, 1]), size, samples)
        for one, at in zip(features, boxes, strict=True)
    ]
    return torch.cat(pooled).to(features.dtype)


def _aligned(features: Tensor, boxes: Tensor, size: int, samples: int) -> Tensor:
    """Features [n, C, size, size] of one image [C, H, W] at boxes [n, 5] in its own pixels."""
    count = size * samples
    steps = (torch.arange(count, device=boxes.device, dtype=boxes.dtype) + 0.5) / count - 0.5
    cx, cy, w, h, angle = boxes[:, :, None, None].unbind(1)  # [n, 1, 1] each
    along, across = w * steps, h * steps[:, None]  # [n, 1, count], [n, count, 1]
    x = cx + along * angle.cos() - across * angle.sin()
    y = cy + along * angle.sin() + across * angle.cos()
    limits = boxes.new_tensor(features.shape[:0:-1])  # W, H
    points = torch.stack([x, y], -1)  # [n, count, count, 2]
    # In grid_sample's coordinates -1..1 is from edge to edge, so there is no half-pixel shift.
    grid = (2 * points / limits - 1).view(1, -1, count, 2)
    read = F.grid_sample(
        features[None].to(grid.dtype), grid, padding_mode="border", align_corners=False
    )
    near = ((points >= -0.5) & (points <= limits + 0.5)).all(-1)
    cells = read[0].view(len(features), len(boxes), count, count).transpose(0, 1) * near[:, None]
    return F.avg_pool2d(cells, samples)
