"""Exact IoU of rotated boxes, without polygon clipping.

The boundary of one box is projected (clamped) onto the other rectangle: every point moves to the
rectangle's nearest point. The projected boundary is closed, and the area that it encloses, by the
shoelace sum, is the area of the intersection. Along each side of the polygon it bends where the
side crosses the four lines of the rectangle, so the area is a sum of three trapezoids per side.
Parallel, touching and equal boxes are no special cases, and a rounding error moves the boundary by
that error only.
NumPy arrays or torch tensors on any device; gradients are exact except where the intersection is
not differentiable (sides or corners that touch).
"""

from __future__ import annotations

from typing import Any

from skybench.boxes.geometry import Array, array_module, to_corners, to_horizontal

BLOCK = 4096  # pairs at once on a CPU: the intermediate arrays stay in its cache
BLOCK_DEVICE = 2**20  # pairs at once on another device
LEAST = 1e-30  # pixels; a smaller difference counts as 0: its inverse would overflow
CELLS = 2**24  # elements of the overlap table in memory at once


def rotated_iou(a: Array, b: Array) -> Array:
    """Return the IoU [N, M] of rotated boxes [N, 5] and [M, 5]; 0 for boxes without area.

    >>> import numpy as np
    >>> rotated_iou(np.array([[0, 0, 2, 2, 0.0]]), np.array([[1, 0, 2, 2, 0.0], [5, 0, 2, 2, 0]]))
    array([[0.33333333, 0.        ]])
    """
    first, second = overlapping_pairs(to_horizontal(to_corners(a)), to_horizontal(to_corners(b)))
    found: Array = array_module(a).zeros((len(a), len(b)), dtype=a.dtype, device=a.device)
    found[first, second] = paired_iou(a[first], b[second])
    return found


def paired_iou(a: Array, b: Array) -> Array:
    """Return the IoU [P] of pairs of rotated boxes, [P, 5] each."""
    size = BLOCK if str(a.device) == "cpu" else BLOCK_DEVICE
    parts = range(0, max(len(a), 1), size)
    found: Array = array_module(a).concatenate(
        [_iou(a[s : s + size], b[s : s + size]) for s in parts]
    )
    return found


def overlapping_pairs(a: Array, b: Array) -> tuple[Any, Any]:
    """Return indices [P] and [P] of all pairs of horizontal boxes [N, 4], [M, 4] that touch."""
    xp = array_module(a)
    first, second = [], []
    rows = max(1, CELLS // max(1, len(b)))
    for start in range(0, max(1, len(a)), rows):
        some = a[start : start + rows, None]
        near = (some[..., 0] <= b[:, 2]) & (some[..., 2] >= b[:, 0])
        near &= (some[..., 1] <= b[:, 3]) & (some[..., 3] >= b[:, 1])
        i, j = xp.where(near)
        first.append(i + start)
        second.append(j)
    return xp.concatenate(first), xp.concatenate(second)


def _iou(a: Array, b: Array) -> Array:
    xp = array_module(a)
    cos, sin = xp.cos(b[:, 4]), xp.sin(b[:, 4])
    x, y = a[:, 0] - b[:, 0], a[:, 1] - b[:, 1]
    turned = [cos * x + sin * y, cos * y - sin * x, a[:, 2], a[:, 3], a[:, 4] - b[:, 4]]
    x, y = to_corners(xp.stack(turned, -1)).swapaxes(0, 2)  # [4, P] each: a as b sees it
    common = _intersection(x, y, b[:, 2] / 2, b[:, 3] / 2)
    area, other = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    # An area no larger than the rounding error of this sum has no meaningful IoU.
    extent = abs(turned[0]) + abs(turned[1]) + a[:, 2] + a[:, 3] + b[:, 2] + b[:, 3]
    known = xp.minimum(area, other) > xp.finfo(a.dtype).eps * extent**2
    union = xp.where(known, area + other - common, 1.0)
    iou: Array = xp.clip(xp.where(known, common, 0.0) / union, 0, 1)
    return iou


def _intersection(x: Array, y: Array, w: Array, h: Array) -> Array:
    """The area [P] of polygons [K, P], clockwise, within rectangles -w..w, -h..h [P]."""
    xp = array_module(x)
    dx, dy = _next(x) - x, _next(y) - y
    # Crossings as shares of a side's length. A side parallel to a line has a constant coordinate,
    # so any share will do.
    per_x = 1 / xp.where(abs(dx) < LEAST, 1.0, dx)
    per_y = 1 / xp.where(abs(dy) < LEAST, 1.0, dy)
    left, right = (-w - x) * per_x, (w - x) * per_x
    top, bottom = (-h - y) * per_y, (h - y) * per_y
    start = xp.clip(xp.minimum(top, bottom), 0, 1)  # y is constant before it and after the end
    end = xp.clip(xp.maximum(top, bottom), 0, 1)
    crossings = (
        start,
        xp.clip(xp.minimum(left, right), start, end),
        xp.clip(xp.maximum(left, right), start, end),
        end,
    )
    xs = [xp.clip(x + share * dx, -w, w) for share in crossings]
    ys = [xp.clip(y + share * dy, -h, h) for share in crossings]
    total = sum((xs[i] + xs[i + 1]) * (ys[i + 1] - ys[i]) for i in range(3))
    area: Array = total.sum(0) / 2
    return area


def _next(values: Array) -> Array:
    """The values [K, P] of the next corners."""
    following: Array = array_module(values).concatenate([values[1:], values[:1]])
    return following
