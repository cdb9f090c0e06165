"""Anchors, and the assignment and sampling of boxes for training."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

ANCHOR = 8.0  # side of an anchor in cells of its level
RATIOS = (0.5, 1.0, 2.0)  # of height to width
BACKGROUND, IGNORED = -1, -2


def make_anchors(maps: Sequence[Tensor], frame: tuple[int, int]) -> list[Tensor]:
    """Return anchors [3 * h * w, 4] for each level, cell by cell, in pixels of the input image.

    maps: feature maps [B, C, h, w]; the last is the previous one subsampled by 2 (FPN's extra
    max-pool level). frame: height and width of the image. Each cell has three anchors, centred on
    its top left corner. Of maps of half precision they are float32: in bfloat16 a corner near
    1,024 pixels is off by up to 4, and training under autocast would see other anchors than
    prediction. Cached: not to be changed in place.
    Source: open-mmlab/mmdetection: AnchorGenerator(scales=[8], ratios=[0.5, 1.0, 2.0]).
    """
    sizes = tuple((x.shape[2], x.shape[3]) for x in maps)
    dtype = torch.promote_types(maps[0].dtype, torch.float32)
    return [*_anchors(sizes, frame, dtype, maps[0].device)]


@functools.lru_cache(maxsize=8)  # of image sizes; on a GPU a constant made anew waits for it
def _anchors(
    sizes: tuple[tuple[int, int], ...],
    frame: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, ...]:
    strides = [(frame[0] / height, frame[1] / width) for height, width in sizes[:-1]]
    strides.append((2 * strides[-1][0], 2 * strides[-1][1]))
    anchors = []
    with torch.inference_mode(False):  # the cached tensors are used in training as well
        root = torch.tensor(RATIOS, dtype=dtype).sqrt()
        half = torch.stack([1 / root, root], 1) * ANCHOR / 2  # [3, 2], in cells
        for size, (down, right) in zip(sizes, strides, strict=True):
            y, x = torch.meshgrid(*(torch.arange(n, dtype=dtype) for n in size), indexing="ij")
            centre = torch.stack([x, y], -1).view(-1, 1, 2)
            boxes = torch.cat([centre - half, centre + half], -1).view(-1, 4)
            anchors.append((boxes * half.new_tensor([right, down, right, down])).to(device))
    return tuple(anchors)


def assign_boxes(overlap: Tensor, high: float, low: float, least: float | None = None) -> Tensor:
    """Assign each of N boxes to an object, BACKGROUND or IGNORED; int64 [N].

    overlap: IoU [G, N] of objects and boxes. A box is assigned to the object of highest IoU if
    that is at least `high`, to the background if it is below `low`. With `least`, the boxes of
    highest IoU with an object are assigned to it, if that is at least `least`.
    Source: open-mmlab/mmdetection: MaxIoUAssigner.

    >>> assign_boxes(torch.tensor([[0.8, 0.4, 0.1], [0.2, 0.35, 0.0]]), 0.7, 0.3, 0.3).tolist()
    [0, 1, -1]
    """
    if not len(overlap):
        return torch.full(overlap.shape[1:], BACKGROUND, device=overlap.device)
    best, which = overlap.max(0)
    assigned = torch.where(best >= high, which, torch.where(best < low, BACKGROUND, IGNORED))
    if least is None or not overlap.shape[1]:
        return assigned
    top = overlap.amax(1, keepdim=True)
    owns = (overlap == top) & (top >= least)
    return torch.where(owns.any(0), owns.byte().argmax(0), assigned)


def sample_boxes(which: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Sample indices of positive and of background boxes, `count` in all if there are enough.

    which: from `assign_boxes`. At most a share `share` is positive; background makes up the rest.
    """
    objects, background = (which >= 0).nonzero()[:, 0], (which == BACKGROUND).nonzero()[:, 0]
    objects = _random_subset(objects, int(count * share))
    return objects, _random_subset(background, count - len(objects))


def _random_subset(indices: Tensor, count: int) -> Tensor:
    if len(indices) <= count:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device)[:count]]
