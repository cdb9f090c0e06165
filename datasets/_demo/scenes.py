"""Simulated scenes: each function paints one class on a canvas.

Sizes are in pixels, for images of 64 to 128 pixels. Materials are random wherever the class allows
it, so that colour says little about the class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skybench.data.simulation import GROUNDS, Canvas, Thing, grid, outline, relief, scatter, texture

ROOFS = ("tile", "concrete", "metal")


def every_pixel(c: Canvas) -> NDArray[np.bool_]:
    """Return a mask of the whole canvas, bool [H, W]."""
    return np.ones(c.shape, bool)


def bare(c: Canvas) -> None:
    """Paint bare ground: coarse and fine relief without pattern."""
    grain = 0.2 * relief(c.rng, c.shape) + 0.08 * texture(c.rng, c.shape, 3.0)
    c.paint(every_pixel(c), c.any(("soil", "sand", "grass", "concrete")), grain)


def forest(c: Canvas) -> None:
    """Paint tree crowns: isotropic bumps of one size."""
    crowns = texture(c.rng, c.shape, c.rng.uniform(5, 8), spread=0.2)
    grain = 0.3 * crowns + 0.08 * relief(c.rng, c.shape)
    c.paint(every_pixel(c), c.any(("canopy", "canopy", "grass", "soil")), grain)


def fields(c: Canvas) -> None:
    """Paint parcels with rows, each in its own direction."""
    centres = np.asarray(scatter(c, int(c.rng.integers(4, 9)), min(c.shape) / 4))
    y, x = np.mgrid[: c.shape[0], : c.shape[1]]
    nearest = np.hypot(x - centres[:, 0, None, None], y - centres[:, 1, None, None]).argmin(0)
    for parcel in range(len(centres)):
        rows = texture(c.rng, c.shape, c.rng.uniform(4, 7), c.rng.uniform(0, np.pi), spread=0.12)
        material = c.any(("grass", "soil", "canopy", "sand"))
        c.paint(nearest == parcel, material, c.rng.uniform(0.1, 0.25) * rows)


def open_water(c: Canvas) -> None:
    """Paint open water: waves of one direction."""
    waves = texture(c.rng, c.shape, c.rng.uniform(7, 11), c.rng.uniform(0, np.pi), spread=0.25)
    c.paint(every_pixel(c), "water", 0.15 * waves + 0.05 * relief(c.rng, c.shape))


def coast(c: Canvas) -> None:
    """Paint water and land with a beach between."""
    angle = c.rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : c.shape[0] * 1j, -1 : 1 : c.shape[1] * 1j]
    height = x * np.cos(angle) + y * np.sin(angle) + 0.12 * relief(c.rng, c.shape)
    bare(c)
    waves = texture(c.rng, c.shape, 9.0, angle, spread=0.25)
    c.paint(height < 0.05, "water", 0.2 * waves)
    c.paint((height >= 0.05) & (height < c.rng.uniform(0.2, 0.35)), "sand", 0.03 * waves)


def river(c: Canvas) -> None:
    """Paint a winding band of water."""
    bare(c)
    t = np.linspace(-0.2, 1.2, 40) * max(c.shape)
    swing = c.rng.uniform(0.08, 0.16) * max(c.shape)
    bend = swing * np.sin(t / c.rng.uniform(8, 14) + c.rng.uniform(0, 6)) + c.shape[0] / 2
    points = np.stack((t, bend) if c.rng.random() < 0.5 else (bend, t), 1).astype(np.float32)
    c.paint(c.line(points, c.rng.uniform(8, 15)), "water", 0.05 * texture(c.rng, c.shape, 5.0))


def road(c: Canvas) -> None:
    """Paint a straight road with a centre line, over fields."""
    fields(c)
    angle, reach = c.rng.uniform(0, np.pi), max(c.shape)
    along = np.array([np.cos(angle), np.sin(angle)]) * reach
    middle = np.array(c.shape[::-1]) / 2 + c.rng.uniform(-8, 8, 2)
    points = np.stack([middle - along, middle + along]).astype(np.float32)
    c.paint(c.line(points, c.rng.uniform(6, 10)), c.any(("asphalt", "concrete")))
    c.paint(c.line(points, 1), "metal")


def town(c: Canvas) -> None:
    """Paint small blocks, close together, on a rotated grid."""
    step = c.rng.uniform(11, 14)
    blocks = []
    for at, angle, _ in grid(c, step, 1.0):
        if c.rng.random() < 0.92:
            size = (step * c.rng.uniform(0.55, 0.75), step * c.rng.uniform(0.5, 0.65))
            blocks.append(Thing(outline("block", at, size, angle), c.any(ROOFS)))
    c.put(blocks)


def factories(c: Canvas) -> None:
    """Paint a few large halls with ribbed roofs."""
    angle = c.rng.uniform(0, np.pi)
    ribs = 0.18 * texture(c.rng, c.shape, 4.5, angle, spread=0.1)
    for at in scatter(c, int(c.rng.integers(3, 6)), 0.36 * min(c.shape)):
        size = (c.rng.uniform(0.35, 0.5) * min(c.shape), c.rng.uniform(0.2, 0.28) * min(c.shape))
        hall = outline("block", at, size, angle)
        c.put([Thing(hall, "shade")], height=3)
        c.paint(c.region(hall), c.any(ROOFS), ribs)


def tanks(c: Canvas) -> None:
    """Paint round tanks."""
    radius = c.rng.uniform(0.08, 0.12) * min(c.shape)
    places = scatter(c, int(c.rng.integers(5, 11)), 2.3 * radius)
    size = (2 * radius, 2 * radius)
    c.put([Thing(outline("tank", at, size, 0), c.any(("metal", "concrete"))) for at in places], 3)


def planes(c: Canvas) -> None:
    """Paint aircraft on an apron."""
    length = c.rng.uniform(0.22, 0.3) * min(c.shape)
    places = scatter(c, int(c.rng.integers(4, 8)), 1.05 * length)
    turns = c.rng.uniform(0, 2 * np.pi, len(places))
    shapes = [
        outline("plane", at, (length, length), a) for at, a in zip(places, turns, strict=True)
    ]
    c.put([Thing(shape, c.any(ROOFS)) for shape in shapes])


def harbor(c: Canvas) -> None:
    """Paint ships in rows along piers."""
    open_water(c)
    things = []
    for at, angle, row in grid(c, 10.0, 0.3):
        if row % 3 == 0:
            things.append(Thing(outline("block", at, (10.8, 3), angle), "concrete"))
        elif c.rng.random() < 0.75:
            turn = angle + np.pi / 2 * (1 if row % 3 == 1 else -1)
            things.append(Thing(outline("ship", at, (9, 5), turn), c.any(ROOFS)))
    c.put(things, height=1)


def parking(c: Canvas) -> None:
    """Paint rows of cars."""
    c.paint(every_pixel(c), c.any(GROUNDS[3:]))
    spots = [spot for spot in grid(c, 8.0, 0.4) if c.rng.random() < 0.75]
    cars = [outline("block", at, (6.5, 3.2), angle) for at, angle, _ in spots]
    c.put([Thing(car, c.any((*ROOFS, "shade"))) for car in cars], height=0)
