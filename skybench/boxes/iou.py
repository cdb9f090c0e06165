"""The exact area that rotated boxes have in common, without clipping polygons.

A polygon's outline is pressed onto a rectangle: every point moves to the nearest point of it. What
lies inside stays, what lies outside ends on the rim, and the outline stays closed; the area that
it then encloses is the area of the overlap. Along each side of the polygon the pressed outline
bends where the side crosses the four lines of the rectangle, so the area is a sum over sides of
three trapezoids. Nothing is special about parallel, touching or equal boxes, and an error of
rounding moves the outline by that error only.
NumPy arrays or torch tensors on any device; gradients flow and are exact except where the overlap
itself has a kink (sides or corners that touch).
"""

from __future__ import annotations

from typing import Any

from skybench.boxes.geometry import Array, library, to_corners, to_horizontal

BLOCK = 4096  # pairs at once on a processor: the intermediate arrays stay in its cache
BLOCK_DEVICE = 2**20  # on another device
LEAST = 1e-30  # pixels; less is no difference: its inverse would overflow
CELLS = 2**24  # of the table of who touches whom in memory at once


def rotated_iou(a: Array, b: Array) -> Array:
    """Intersection over union [N, M] of rotated boxes [N, 5] and [M, 5]; 0 for empty boxes.

    >>> import numpy as np
    >>> rotated_iou(np.array([[0, 0, 2, 2, 0.0]]), np.array([[1, 0, 2, 2, 0.0], [5, 0, 2, 2, 0]]))
    array([[0.33333333, 0.        ]])
    """
    first, second = touching(to_horizontal(to_corners(a)), to_horizontal(to_corners(b)))
    found: Array = library(a).zeros((len(a), len(b)), dtype=a.dtype, device=a.device)
    found[first, second] = paired_iou(a[first], b[second])
    return found


def paired_iou(a: Array, b: Array) -> Array:
    """Intersection over union [P] of rotated boxes [P, 5] with those in the same rows."""
    size = BLOCK if str(a.device) == "cpu" else BLOCK_DEVICE
    parts = range(0, max(len(a), 1), size)
    found: Array = library(a).concatenate([_iou(a[s : s + size], b[s : s + size]) for s in parts])
    return found


def touching(a: Array, b: Array) -> tuple[Any, Any]:
    """Indices [P] and [P] of all pairs of horizontal boxes [N, 4] and [M, 4] that have a point."""
    xp = library(a)
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
    xp = library(a)
    cos, sin = xp.cos(b[:, 4]), xp.sin(b[:, 4])
    x, y = a[:, 0] - b[:, 0], a[:, 1] - b[:, 1]
    turned = [cos * x + sin * y, cos * y - sin * x, a[:, 2], a[:, 3], a[:, 4] - b[:, 4]]
    x, y = to_corners(xp.stack(turned, -1)).swapaxes(0, 2)  # [4, P] each: a as b sees it
    common = _pressed(x, y, b[:, 2] / 2, b[:, 3] / 2)
    area, other = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    # Of an area that is no more than the rounding error of this sum, no share can be told.
    extent = abs(turned[0]) + abs(turned[1]) + a[:, 2] + a[:, 3] + b[:, 2] + b[:, 3]
    known = xp.minimum(area, other) > xp.finfo(a.dtype).eps * extent**2
    union = xp.where(known, area + other - common, 1.0)
    iou: Array = xp.clip(xp.where(known, common, 0.0) / union, 0, 1)
    return iou


def _pressed(x: Array, y: Array, w: Array, h: Array) -> Array:
    """The area [P] of polygons [K, P], clockwise, within rectangles -w..w, -h..h [P]."""
    xp = library(x)
    dx, dy = _next(x) - x, _next(y) - y
    # Where a side crosses a line it has gone a share of its way. One that is parallel to the line
    # has the same coordinate everywhere, and any share will do.
    per_x = 1 / xp.where(abs(dx) < LEAST, 1.0, dx)
    per_y = 1 / xp.where(abs(dy) < LEAST, 1.0, dy)
    left, right = (-w - x) * per_x, (w - x) * per_x
    top, bottom = (-h - y) * per_y, (h - y) * per_y
    start = xp.clip(xp.minimum(top, bottom), 0, 1)  # before it and after the end y is constant
    end = xp.clip(xp.maximum(top, bottom), 0, 1)
    ways = (
        start,
        xp.clip(xp.minimum(left, right), start, end),
        xp.clip(xp.maximum(left, right), start, end),
        end,
    )
    xs = [xp.clip(x + way * dx, -w, w) for way in ways]
    ys = [xp.clip(y + way * dy, -h, h) for way in ways]
    total = sum((xs[i] + xs[i + 1]) * (ys[i + 1] - ys[i]) for i in range(3))
    area: Array = total.sum(0) / 2
    return area


def _next(values: Array) -> Array:
    """The values [K, P] of the next corners."""
    following: Array = library(values).concatenate([values[1:], values[:1]])
    return following
