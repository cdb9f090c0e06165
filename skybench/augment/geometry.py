"""A sample seen differently: one map of the ground, applied to images, masks and boxes alike."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from skybench.boxes.geometry import to_rotated
from skybench.boxes.iou import paired_iou
from skybench.core import IGNORE, Boxes, DataError, Sample

SHARE = 0.7  # an object that is cut stays if this share of its area is seen, as in tiles
TINY = 1e-6  # pixels, or shares: less is rounding


class View(NamedTuple):
    """Where the points of a new image lie in the old one, for every sensor and date.

    Coordinates are (x, y), -1..1 from edge to edge of the image, so that they name the same ground
    at any resolution.
    """

    linear: NDArray[np.float64]  # [2, 2]
    shift: NDArray[np.float64]  # [2]; old = linear @ new + shift
    height: float = 1.0  # of the new image, in heights of the old one
    width: float = 1.0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels of what an image of this size becomes."""
        return max(1, round(height * self.height)), max(1, round(width * self.width))


class Window(NamedTuple):
    """A part of an image in heights and widths of it; it may reach over the edges."""

    y: float
    x: float
    height: float
    width: float

    def enlarged(self) -> View:
        """What it holds, at the size of the whole image."""
        shift = [2 * self.x + self.width - 1, 2 * self.y + self.height - 1]
        return View(np.diag([self.width, self.height]), np.array(shift))

    def cut(self) -> View:
        """What it holds, at its own size."""
        return self.enlarged()._replace(height=self.height, width=self.width)

    def of(self, x: Tensor) -> Tensor:
        """A view of images [..., H, W] there, of whole pixels; it may have none."""
        rows, columns = (
            slice(round(start * n), round((start + share) * n))
            for start, share, n in zip(self[:2], self[2:], x.shape[-2:], strict=True)
        )
        return x[..., rows, columns]


def mirrored(axis: int) -> View:
    """The mirror image along axis 0 (x) or 1 (y)."""
    return View(np.diag([1.0 - 2 * (axis == 0), 1.0 - 2 * (axis == 1)]), np.zeros(2))


def bent(linear: NDArray[np.float64], shape: tuple[int, int]) -> View:
    """A linear map [2, 2] about the centre; `shape` is the image's (height, width) in pixels."""
    sides = np.array(shape[::-1], float)
    return View(linear * sides / sides[:, None], np.zeros(2))


def turned(degrees: float, shape: tuple[int, int]) -> View:
    """The image turned clockwise about its centre, in the same frame; quarter turns are exact."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    if degrees % 90 == 0:
        cos, sin = round(cos), round(sin)
    return bent(np.array([[cos, sin], [-sin, cos]], float), shape)


def ground(sample: Sample) -> tuple[int, int]:
    """Height and width in pixels of the finest sensor's images."""
    height, width = max((x.shape[-2:] for x in sample.images.values()), key=math.prod)
    return height, width


def is_mask(target: Any) -> bool:
    """Whether a target is one mask or several; classes [K] are not."""
    return isinstance(target, Tensor) and target.ndim > 1


def moved(sample: Sample, view: View) -> Sample:
    """The sample in another view, each sensor at its own resolution.

    Images [T, C, H, W] keep their dtype; between pixels they are bilinear, whole numbers are
    rounded, and what comes in from outside has the mean of its band and date: 0 is a colour in
    some units and a strong echo in dB. Masks take the nearest pixel, and 255 from outside.
    Boxes: see `moved_boxes`. Class ids and classes stay.
    """
    target = sample.target
    if isinstance(target, Boxes):
        target = moved_boxes(target, view)
    elif is_mask(target):
        target = _seen(target, view, torch.full((), IGNORE), smooth=False)
    images = {}
    for name, x in sample.images.items():
        images[name] = _seen(x, view, x.float().mean((-2, -1), keepdim=True), smooth=True)
    return replace(sample, images=images, target=target)


def _seen(x: Tensor, view: View, outside: Tensor, smooth: bool) -> Tensor:
    """Images or masks [..., H, W] in a view; `outside` is broadcast to them."""
    height, width = x.shape[-2:]
    old_x, old_y = _origins(view, height, width)
    at_x, at_y = (old_x + 1) / 2 * width, (old_y + 1) / 2 * height  # pixels, middles at .5
    if smooth and (_between(at_x) or _between(at_y)):
        size = view.size(height, width)
        grid = torch.stack([old_x.expand(size), old_y.expand(size)], -1)[None].float()
        flat = x.float().reshape(1, -1, height, width)
        found = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
        found = found.reshape(*x.shape[:-2], *size)
    else:
        found = x[..., _nearest(at_y, height), _nearest(at_x, width)]
    inside = (old_x.abs() <= 1 + TINY) & (old_y.abs() <= 1 + TINY)
    if not inside.all():
        found = torch.where(inside, found.float(), outside.float())
    whole = found.is_floating_point() and not x.is_floating_point()
    return (found.round() if whole else found).to(x.dtype)


def _origins(view: View, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the new image's pixels lie in the old one, x and y from -1 to 1, float64.

    Each [h, w], or [h, 1] or [1, w] if all in a row or a column share it: where nothing is turned
    that saves most of the time.
    """
    rows, columns = view.size(height, width)
    across = (torch.arange(columns, dtype=torch.float64) * 2 + 1) / columns - 1
    down = ((torch.arange(rows, dtype=torch.float64) * 2 + 1) / rows - 1)[:, None]
    x, y = (
        (a * across[None] if a else 0) + (b * down if b else 0) + shift
        for (a, b), shift in zip(view.linear.tolist(), view.shift.tolist(), strict=True)
    )
    return x, y


def _between(at: Tensor) -> bool:
    """Whether any place is not the middle of a pixel."""
    return bool(((at % 1 - 0.5).abs() > TINY).any())


def _nearest(at: Tensor, length: int) -> Tensor:
    return (at + TINY).long().clamp(0, length - 1)


def moved_boxes(boxes: Boxes, view: View) -> Boxes:
    """Boxes in another view, their corners exact and in the same sense of turning.

    An object stays with all its corners if nothing of it was cut off, or if 70 % of its area is
    seen. A degenerate one stays where its corners are in the image.
    Raises DataError where the size of the image is not known.
    """
    height, width = boxes.size
    if not height * width:
        raise DataError("boxes were given without the size of their image; set Boxes.size")
    rows, columns = view.size(height, width)
    old = boxes.corners.double() / torch.tensor([width, height]) * 2 - 1
    back = torch.from_numpy(np.linalg.inv(view.linear).T)
    new = (old - torch.from_numpy(view.shift)) @ back
    corners = (new + 1) / 2 * torch.tensor([columns, rows])
    if np.linalg.det(view.linear) < 0:
        corners = corners[:, [3, 2, 1, 0]]
    now = _share(corners, rows, columns)
    before = _share(boxes.corners.double(), height, width)
    kept = (now > 0) & (now >= before.clamp(max=SHARE) - TINY)
    labels, difficult = boxes.labels[kept], boxes.difficult[kept]
    return Boxes(corners[kept].float(), labels, difficult, (rows, columns))


def _share(corners: Tensor, height: int, width: int) -> Tensor:
    """The share [N] of each box's area that lies in the image; corners: [N, 4, 2], float64."""
    boxes = to_rotated(corners)
    frame = torch.tensor([[width / 2, height / 2, width, height, 0]], dtype=boxes.dtype)
    iou = paired_iou(boxes, frame.expand(len(boxes), 5))
    area = boxes[:, 2] * boxes[:, 3]
    common = iou * (area + height * width) / (1 + iou)
    whole = ((corners >= -TINY) & (corners <= torch.tensor([width, height]) + TINY)).all(-1).all(-1)
    return torch.where(whole, 1.0, common / area.clamp(min=TINY**2))
