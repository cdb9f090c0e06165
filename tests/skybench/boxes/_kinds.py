"""Pairs of boxes as they go wrong: kind by kind, for the tests of everything that takes boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from skybench.boxes.geometry import to_corners

QUARTER = math.pi / 2
COUNT = 8
SIDE = 100.0  # of the image
FEW = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def random(rng: np.random.Generator) -> np.ndarray:
    """Boxes [8, 5] with the middle in the image."""
    at, sides = rng.uniform(0, SIDE, (COUNT, 2)), rng.uniform(4, 40, (COUNT, 2))
    return np.column_stack([at, sides, rng.uniform(-4, 4, COUNT)])


def degenerate(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """Lines and points, in one of them or both."""
    a[:, 2:4] *= rng.integers(0, 2, (COUNT, 2))
    b[::2] = a[::2]


def touching(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """Side to side, or corner to corner."""
    a[:, 4] = rng.choice([0, 0.4, QUARTER, 3.0], COUNT)
    turns = rng.integers(0, 3, COUNT)
    b[:, 4] = a[:, 4] + turns * QUARTER
    sides = np.where(turns[:, None] == 1, b[:, [3, 2]], b[:, 2:4])
    x, y = ((a[:, 2:4] + sides) / 2).T
    y = y * rng.integers(0, 2, COUNT)
    cos, sin = np.cos(a[:, 4]), np.sin(a[:, 4])
    b[:, :2] = a[:, :2] + np.column_stack([x * cos - y * sin, x * sin + y * cos])


def nested(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """The second wholly within the first."""
    least = a[:, 2:4].min(1, keepdims=True)
    b[:, :2] = a[:, :2] + rng.uniform(-0.1, 0.1, (COUNT, 2)) * least
    b[:, 2:4] = rng.uniform(0.05, 0.5, (COUNT, 2)) * least


def tiny(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """Down to a millionth of a pixel, far from the origin."""
    for boxes in (a, b):
        boxes[:, 2:4] *= 10.0 ** rng.integers(-7, -2, (COUNT, 1))
    b[:, :2] = a[:, :2] + rng.uniform(-0.5, 0.5, (COUNT, 2)) * a[:, 2:4].min(1, keepdims=True)


def quarter(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """On whole pixels, turned by quarters."""
    for boxes in (a, b):
        boxes[:, :4] = boxes[:, :4].round()
        boxes[:, 4] = rng.integers(-3, 4, COUNT) * QUARTER


def outside(rng: np.random.Generator, a: np.ndarray, b: np.ndarray) -> None:
    """Outside the image, some far."""
    shift = rng.choice([-1000, -SIDE, 0, SIDE, 10_000], (COUNT, 2))
    a[:, :2] += shift
    b[:, :2] += shift


MAKERS = {make.__name__: make for make in (degenerate, touching, nested, tiny, quarter, outside)}
EACH = pytest.mark.parametrize("kind", MAKERS)


@st.composite
def pairs(draw: st.DrawFn, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Rotated boxes [8, 5] and those [8, 5] that stand in such a relation to them, row by row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a, b = random(rng), random(rng)
    b[:, :2] = a[:, :2] + rng.uniform(-8, 8, (COUNT, 2))
    MAKERS[kind](rng, a, b)
    return a, b


def coarseness(*boxes: np.ndarray) -> float:
    """How many times its least side a box is away from the origin: so much of precision is lost."""
    every = np.concatenate(boxes)
    sides = every[:, 2:4]
    return float(max(1, np.abs(every[:, :4]).max() / sides[sides > 0].min(initial=1)))


def iou_by_shapely(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[P], of boxes [P, 5] in the same rows; 0 for two boxes without area."""
    shapely = pytest.importorskip("shapely")
    one, other = shapely.polygons(to_corners(a)), shapely.polygons(to_corners(b))
    common = shapely.area(shapely.intersection(one, other))
    whole = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - common
    return np.asarray(common / np.where(whole > 0, whole, 1))
