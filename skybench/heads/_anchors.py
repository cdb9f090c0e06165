"""Anchors, and which boxes stand for which object in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ANCHOR = 8.0  # side of an anchor in cells of its level
RATIOS = (0.5, 1.0, 2.0)  # of height to width
BACKGROUND, NEITHER = -1, -2


def anchors_of(maps: Sequence[Tensor], frame: tuple[int, int]) -> list[Tensor]:
    """Anchors [3 * h * w, 4] for each level, place by place, in pixels of the network's image.

    maps: [B, C, h, w] each, the last one the last but one at every other place; frame: height and
    width of the image. Each cell has three around its top left corner.
    Source: open-mmlab/mmdetection: AnchorGenerator(scales=[8], ratios=[0.5, 1.0, 2.0]).
    """
    strides = [(frame[0] / x.shape[2], frame[1] / x.shape[3]) for x in maps[:-1]]
    strides.append((2 * strides[-1][0], 2 * strides[-1][1]))
    root = maps[0].new_tensor(RATIOS).sqrt()
    half = torch.stack([1 / root, root], 1) * ANCHOR / 2  # [3, 2], in cells
    found = []
    for x, (down, right) in zip(maps, strides, strict=True):
        ys, xs = (torch.arange(n, device=x.device, dtype=half.dtype) for n in x.shape[2:])
        y, x_ = torch.meshgrid(ys, xs, indexing="ij")
        middle = torch.stack([x_, y], -1).view(-1, 1, 2)
        boxes = torch.cat([middle - half, middle + half], -1).view(-1, 4)
        found.append(boxes * boxes.new_tensor([right, down, right, down]))
    return found


def match(overlap: Tensor, high: float, low: float, least: float | None = None) -> Tensor:
    """For each of N boxes the object that it stands for, BACKGROUND or NEITHER; int64 [N].

    overlap: IoU [G, N] of objects and boxes. A box stands for the object that it overlaps most
    when they share `high`, for the background when it shares less than `low` with all. With
    `least`, the boxes that share most with an object stand for it, if they share that much.
    Source: open-mmlab/mmdetection: MaxIoUAssigner.

    >>> match(torch.tensor([[0.8, 0.4, 0.1], [0.2, 0.35, 0.0]]), 0.7, 0.3, 0.3).tolist()
    [0, 1, -1]
    """
    if not len(overlap):
        return torch.full(overlap.shape[1:], BACKGROUND, device=overlap.device)
    best, which = overlap.max(0)
    found = torch.where(best >= high, which, torch.where(best < low, BACKGROUND, NEITHER))
    if least is None or not overlap.shape[1]:
        return found
    top = overlap.amax(1, keepdim=True)
    owns = (overlap == top) & (top >= least)
    return torch.where(owns.any(0), owns.byte().argmax(0), found)


def sample(which: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Indices of boxes that stand for objects, and of background: `count` where there are enough.

    which: as `match` gives. At most `share` of them are objects; background makes up the rest.
    """
    objects, background = (which >= 0).nonzero()[:, 0], (which == BACKGROUND).nonzero()[:, 0]
    objects = _some(objects, int(count * share))
    return objects, _some(background, count - len(objects))


def _some(indices: Tensor, count: int) -> Tensor:
    if len(indices) <= count:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device)[:count]]
