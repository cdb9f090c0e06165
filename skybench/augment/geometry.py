"""Geometric augmentation: one map of the ground warps images, targets and boxes alike."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from skybench.boxes.geometry import to_rotated
from skybench.boxes.iou import paired_iou
from skybench.core import Boxes, DataError, DatasetCard, Sample

SHARE = 0.7  # an object that is cut off is kept if this share of its area is visible, as in tiles
TINY = 1e-6  # tolerance for rounding, in pixels or as a share


class GroundMap(NamedTuple):
    """An affine map from a new image's coordinates to the old one's, for every sensor and date.

    Coordinates are (x, y), -1..1 from edge to edge of the image, so that they denote the same
    ground at any resolution.
    """

    linear: NDArray[np.float64]  # [2, 2]
    shift: NDArray[np.float64]  # [2]; old = linear @ new + shift
    height: float = 1.0  # of the new image, relative to the old one
    width: float = 1.0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in pixels of the new image, given those of the old one."""
        return max(1, round(height * self.height)), max(1, round(width * self.width))


class RelativeWindow(NamedTuple):
    """A crop window relative to the height and width of an image; it may cross the edges."""

    y: float
    x: float
    height: float
    width: float

    def zoom(self) -> GroundMap:
        """Return the map that crops the window and resizes it to the size of the whole image."""
        shift = [2 * self.x + self.width - 1, 2 * self.y + self.height - 1]
        return GroundMap(np.diag([self.width, self.height]), np.array(shift))

    def crop(self) -> GroundMap:
        """Return the map that crops the window at its own size."""
        return self.zoom()._replace(height=self.height, width=self.width)

    def pixels(self, x: Tensor) -> Tensor:
        """Return the view of images [..., H, W] in the window, in whole pixels; may be empty."""
        rows, columns = (
            slice(round(start * n), round((start + share) * n))
            for start, share, n in zip(self[:2], self[2:], x.shape[-2:], strict=True)
        )
        return x[..., rows, columns]


def reflection(axis: int) -> GroundMap:
    """Return the reflection along axis 0 (x) or 1 (y)."""
    return GroundMap(np.diag([1.0 - 2 * (axis == 0), 1.0 - 2 * (axis == 1)]), np.zeros(2))


def linear_map(linear: NDArray[np.float64], shape: tuple[int, int]) -> GroundMap:
    """Return a linear map [2, 2] about the centre; shape: the image's (height, width) in pixels."""
    sides = np.array(shape[::-1], float)
    return GroundMap(linear * sides / sides[:, None], np.zeros(2))


def rotation(degrees: float, shape: tuple[int, int]) -> GroundMap:
    """Return the clockwise rotation about the centre, same frame; quarter turns are exact."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    if degrees % 90 == 0:
        cos, sin = round(cos), round(sin)
    return linear_map(np.array([[cos, sin], [-sin, cos]], float), shape)


def finest_size(sample: Sample) -> tuple[int, int]:
    """Return height and width in pixels of the sensor with the most pixels."""
    height, width = max((x.shape[-2:] for x in sample.images.values()), key=math.prod)
    return height, width


def crop_centre(sample: Sample, share: float) -> Sample:
    """Cut images to the centre, in whole pixels; share: of their sides. The target stays."""
    margin = (1 - share) / 2
    window = RelativeWindow(margin, margin, share, share)
    return replace(sample, images={name: window.pixels(x) for name, x in sample.images.items()})


def warp(sample: Sample, ground: GroundMap, card: DatasetCard) -> Sample:
    """Warp a sample by a map of the ground, each sensor at its own resolution.

    Images [T, C, H, W] keep their dtype; they are resampled bilinearly, integers are rounded, and
    pixels from outside of the image get the mean of their band and date: 0 is a colour in some
    units and a strong echo in dB. Masks, and values [H, W], are resampled by nearest neighbour, as
    labels cannot be blended and NaN would spread; pixels from outside get `Target.fill`.
    Boxes: see `warp_boxes`. Class ids, classes and values [D] of the whole image stay.
    """
    target, kind = sample.target, card.target_of(sample.target)
    if kind.kind == "boxes":
        target = warp_boxes(target, ground)
    elif kind.spatial and target.ndim > 1:
        labels = torch.as_tensor(target)
        target = _resample(labels, ground, torch.tensor(kind.fill), bilinear=False)
    images = {}
    for name, x in sample.images.items():
        mean = x.float().mean((-2, -1), keepdim=True)
        images[name] = _resample(x, ground, mean, bilinear=True)
    return replace(sample, images=images, target=target)


def _resample(x: Tensor, ground: GroundMap, outside: Tensor, bilinear: bool) -> Tensor:
    """Warp images or masks [..., H, W]; `outside` is broadcast to them."""
    height, width = x.shape[-2:]
    old_x, old_y = _origins(ground, height, width)
    at_x, at_y = (old_x + 1) / 2 * width, (old_y + 1) / 2 * height  # pixels, centres at .5
    if bilinear and (_is_between(at_x) or _is_between(at_y)):
        size = ground.size(height, width)
        grid = torch.stack([old_x.expand(size), old_y.expand(size)], -1)[None].float()
        flat = x.float().reshape(1, -1, height, width)
        warped = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
        warped = warped.reshape(*x.shape[:-2], *size)
    else:
        warped = x[..., _nearest(at_y, height), _nearest(at_x, width)]
    inside = (old_x.abs() <= 1 + TINY) & (old_y.abs() <= 1 + TINY)
    if not inside.all():
        warped = torch.where(inside, warped.float(), outside.float())
    rounded = warped.is_floating_point() and not x.is_floating_point()
    return (warped.round() if rounded else warped).to(x.dtype)


def _origins(ground: GroundMap, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Coordinates x and y, -1..1, in the old image of the new image's pixels, float64.

    Each [h, w], or [h, 1] or [1, w] if a whole row or column shares it: without rotation that
    saves most of the time.
    """
    rows, columns = ground.size(height, width)
    across = (torch.arange(columns, dtype=torch.float64) * 2 + 1) / columns - 1
    down = ((torch.arange(rows, dtype=torch.float64) * 2 + 1) / rows - 1)[:, None]
    x, y = (
        (a * across[None] if a else 0) + (b * down if b else 0) + shift
        for (a, b), shift in zip(ground.linear.tolist(), ground.shift.tolist(), strict=True)
    )
    return x, y


def _is_between(at: Tensor) -> bool:
    """Whether any position is off the centre of a pixel."""
    return bool(((at % 1 - 0.5).abs() > TINY).any())


def _nearest(at: Tensor, length: int) -> Tensor:
    return (at + TINY).long().clamp(0, length - 1)


def warp_boxes(boxes: Boxes, ground: GroundMap) -> Boxes:
    """Warp boxes by a map of the ground; corners are exact and keep their orientation.

    An object is kept with all its corners if nothing more of it is cut off, or if 70 % of its
    area is visible; a crowd region, if any of it is. A degenerate box is kept if its corners are
    in the image.
    Raises DataError if the size of the image is unknown.
    """
    height, width = boxes.size
    if not height * width:
        raise DataError("boxes were given without the size of their image; set Boxes.size")
    rows, columns = ground.size(height, width)
    old = boxes.corners.double() / torch.tensor([width, height]) * 2 - 1
    back = torch.from_numpy(np.linalg.inv(ground.linear).T)
    new = (old - torch.from_numpy(ground.shift)) @ back
    corners = (new + 1) / 2 * torch.tensor([columns, rows])
    if np.linalg.det(ground.linear) < 0:
        corners = corners[:, [3, 2, 1, 0]]
    now = _share(corners, rows, columns)
    before = _share(boxes.corners.double(), height, width)
    kept = (now > 0) & (boxes.crowds | (now >= before.clamp(max=SHARE) - TINY))
    return replace(boxes.where(kept), corners=corners[kept].float(), size=(rows, columns))


def _share(corners: Tensor, height: int, width: int) -> Tensor:
    """The visible share [N] of each box's area; corners: [N, 4, 2], float64."""
    boxes = to_rotated(corners)
    frame = torch.tensor([[width / 2, height / 2, width, height, 0]], dtype=boxes.dtype)
    iou = paired_iou(boxes, frame.expand(len(boxes), 5))
    area = boxes[:, 2] * boxes[:, 3]
    common = iou * (area + height * width) / (1 + iou)
    whole = ((corners >= -TINY) & (corners <= torch.tensor([width, height]) + TINY)).all(-1).all(-1)
    return torch.where(whole, 1.0, common / area.clamp(min=TINY**2))
