"""Conversions between rotated boxes, corners and horizontal boxes.

Three forms, in pixels, x to the right and y down; the centre of the first pixel is (0.5, 0.5):
corners [N, 4, 2], (x, y) in order around the box; rotated boxes [N, 5], (cx, cy, w, h, angle) with
the angle of the side w in radians, clockwise on the screen; horizontal boxes [N, 4],
(x0, y0, x1, y1). Translation and scaling are sums and products of corners and have no function.
All functions take NumPy arrays or torch tensors and return the same kind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", NDArray[Any], "Tensor")

PAIRS = ([0, 1, 2, 3, 0, 1], [1, 2, 3, 0, 2, 3])  # of four points: the sides, then the diagonals
TIE = 1e-9  # relative difference of areas that counts as none: what rounding leaves of a tie


def array_module(array: NDArray[Any] | Tensor) -> Any:
    """Return the module of an array, NumPy or torch; torch is imported only if it is needed."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def to_corners(boxes: Array) -> Array:
    """Return corners [N, 4, 2] of rotated boxes [N, 5], clockwise; at angle 0 from the top left.

    >>> to_corners(np.array([[5.0, 5.0, 4.0, 2.0, 0.0]])).tolist()
    [[[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]]
    """
    xp = array_module(boxes)
    cos, sin = xp.cos(boxes[:, 4]), xp.sin(boxes[:, 4])
    along = xp.stack([cos, sin], -1) * boxes[:, 2:3] / 2
    across = xp.stack([-sin, cos], -1) * boxes[:, 3:4] / 2
    start, end = boxes[:, :2] - along, boxes[:, :2] + along
    corners: Array = xp.stack([start - across, end - across, end + across, start + across], 1)
    return corners


def to_rotated(corners: Array) -> Array:
    """Return the minimum-area rectangles [N, 5] of four points each [N, 4, 2], as `le90`.

    The points may be in any order and need not be the corners of a rectangle. A side of the
    rectangle lies on a side of the convex hull, hence through two of the points: all six pairs are
    tried. Of rectangles of equal area, as the three of an acute triangle are, the one on the
    earliest side is returned, so that the same four points give the same rectangle wherever a
    tile begins.
    Source: mmrotate turns the quadrilaterals of DOTA and FAIR1M into boxes by cv2.minAreaRect
    before training and before scoring (open-mmlab/mmrotate@1eec447: qbox2rbox).

    >>> to_rotated(np.array([[[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]])).tolist()
    [[5.0, 5.0, 4.0, 2.0, 0.0]]
    """
    xp = array_module(corners)
    exact = _as_float64(corners)
    points = exact - exact[:, :1]  # differences do not depend on the origin
    x, y = points[..., 0, None], points[..., 1, None]  # [N, 4, 1]
    first, second = PAIRS
    side = points[:, second] - points[:, first]
    dx, dy = side[..., 0], side[..., 1]  # [N, 6]
    length = xp.hypot(dx, dy)
    none = length == 0  # coincident points: any direction will do
    cos, sin = (dx + none) / (length + none), dy / (length + none)
    along, across = x * cos[:, None] + y * sin[:, None], y * cos[:, None] - x * sin[:, None]
    (left, right), (top, bottom) = _range(along), _range(across)  # [N, 6] each
    area = (right - left) * (bottom - top)
    equal = area <= (1 + TIE) * xp.amin(area, 1)[:, None]
    best = xp.arange(len(corners), device=corners.device), (1 * equal).argmax(1)
    w, h, cos, sin = (right - left)[best], (bottom - top)[best], cos[best], sin[best]
    u, v = (left + right)[best] / 2, (top + bottom)[best] / 2
    cx, cy = u * cos - v * sin + exact[:, 0, 0], u * sin + v * cos + exact[:, 0, 1]
    boxes = le90(xp.stack([cx, cy, w, h, xp.arctan2(sin, cos)], -1))
    same: Array = xp.asarray(boxes, dtype=corners.dtype) if _is_float(corners) else boxes
    return same


def _as_float64(array: Array) -> Array:
    xp = array_module(array)
    exact: Array = xp.asarray(array, dtype=xp.float64)
    return exact


def _is_float(array: Array) -> bool:
    return "float" in str(array.dtype)


def le90(boxes: Array) -> Array:
    """Return the same rotated boxes [N, 5] with w >= h and the angle in [-pi/2, pi/2).

    Source: the name is mmrotate's (open-mmlab/mmrotate: RotatedBoxes.regularize_boxes).

    >>> le90(np.array([[0.0, 0.0, 2.0, 4.0, 0.0]])).tolist()[0][2:]
    [4.0, 2.0, -1.5707963267948966]
    """
    xp = array_module(boxes)
    w, h = boxes[:, 2], boxes[:, 3]
    angle = xp.where(w < h, boxes[:, 4] + math.pi / 2, boxes[:, 4])
    angle = xp.remainder(angle + math.pi / 2, math.pi) - math.pi / 2
    # The remainder of a very small negative number is rounded to pi itself.
    angle = xp.where(angle >= math.pi / 2, angle - math.pi, angle)
    columns = [boxes[:, 0], boxes[:, 1], xp.maximum(w, h), xp.minimum(w, h), angle]
    regular: Array = xp.stack(columns, -1)
    return regular


def to_horizontal(corners: Array) -> Array:
    """Return the enclosing horizontal boxes [N, 4] of corners [N, 4, 2]."""
    (x0, x1), (y0, y1) = (_range(corners[..., axis]) for axis in range(2))
    boxes: Array = array_module(corners).stack([x0, y0, x1, y1], -1)
    return boxes


def _range(points: Array) -> tuple[Array, Array]:
    """The lowest and the highest [N, ...] of the values [N, 4, ...] of four points."""
    xp = array_module(points)
    # Pairwise: ten times as fast as NumPy's reduction of such a short axis.
    one, two, three, four = (points[:, i] for i in range(4))
    low: Array = xp.minimum(xp.minimum(one, two), xp.minimum(three, four))
    high: Array = xp.maximum(xp.maximum(one, two), xp.maximum(three, four))
    return low, high


def from_horizontal(boxes: Array) -> Array:
    """Return corners [N, 4, 2] of horizontal boxes [N, 4], clockwise from the top left."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def flip_corners(corners: Array, size: float, axis: int) -> Array:
    """Mirror corners [N, 4, 2] along axis 0 (x) or 1 (y) of an image of that width or height.

    They stay clockwise: the order of the four is reversed.
    """
    xp = array_module(corners)
    mirrored = xp.stack(
        [size - corners[..., a] if a == axis else corners[..., a] for a in range(2)], -1
    )
    turned: Array = mirrored[:, [3, 2, 1, 0]]
    return turned
