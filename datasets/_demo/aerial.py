"""Simulated aerial scenes with a label for each pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from skybench.data.simulation import Canvas, Thing, grid, outline, relief, scatter, texture

from . import scenes

ROOFS = ("tile", "concrete", "metal")
PAINTS = (*ROOFS, "shade")


def draw_district(rng: Generator, shape: tuple[int, int], classes: tuple[str, ...]) -> Canvas:
    """Draw nine zones in random order: six with objects of iSAID, three with background only.

    Labels are positions in `classes`; 0 is background.
    """
    canvas = Canvas(rng, shape)
    number = {title: position for position, title in enumerate(classes)}
    zones: list[Callable[[Canvas, dict[str, int]], None]] = [
        *(_port, _apron, _parking, _depot, _sports, _gardens),
        *(_background(kind) for kind in (scenes.fields, scenes.forest, scenes.town)),
    ]
    rows = np.linspace(0, shape[0], 4).astype(int)
    columns = np.linspace(0, shape[1], 4).astype(int)
    for place, zone in enumerate(rng.permutation(len(zones))):
        y, x = divmod(place, 3)
        part = (slice(rows[y], rows[y + 1]), slice(columns[x], columns[x + 1]))
        patch = Canvas(rng, canvas.labels[part].shape)
        zones[zone](patch, number)
        canvas.cover[part], canvas.shine[part] = patch.cover, patch.shine
        canvas.labels[part] = patch.labels
    return canvas


def _background(kind: Callable[[Canvas], None]) -> Callable[[Canvas, dict[str, int]], None]:
    return lambda c, number: kind(c)


def _port(c: Canvas, number: dict[str, int]) -> None:
    scenes.open_water(c)
    pier = outline("block", (c.shape[1] / 2, 12), (c.shape[1] * 0.9, 16), 0.0)
    things = [Thing(pier, "concrete", number["Harbor"])]
    for x, y in scatter(c, 8, 32):
        if y > 40:
            shape = outline("ship", (x, y), (28, 9), c.rng.uniform(0, np.pi))
            things.append(Thing(shape, c.any(ROOFS), number["ship"]))
    c.put(things, height=1)


def _apron(c: Canvas, number: dict[str, int]) -> None:
    places = scatter(c, 6, 44)
    shapes = [outline("plane", at, (42, 40), c.rng.uniform(0, 2 * np.pi)) for at in places]
    c.put([Thing(shape, c.any(ROOFS), number["plane"]) for shape in shapes])


def _parking(c: Canvas, number: dict[str, int]) -> None:
    c.paint(scenes.every_pixel(c), c.any(("asphalt", "concrete")))
    things = []
    for at, angle, row in grid(c, 16.0, 1.0):
        if row % 4 == 0 and c.rng.random() < 0.7:
            shape = outline("block", at, (12, 26), angle)
            things.append(Thing(shape, c.any(PAINTS), number["Large_Vehicle"]))
        elif row % 4 == 2 and c.rng.random() < 0.8:
            shape = outline("block", at, (6, 12), angle)
            things.append(Thing(shape, c.any(PAINTS), number["Small_Vehicle"]))
    c.put(things)


def _depot(c: Canvas, number: dict[str, int]) -> None:
    radius = c.rng.uniform(11, 16)
    shapes = [
        outline("tank", at, (2 * radius, 2 * radius), 0) for at in scatter(c, 12, 2.4 * radius)
    ]
    materials = ("metal", "concrete")
    c.put([Thing(shape, c.any(materials), number["store_tank"]) for shape in shapes], height=4)


def _sports(c: Canvas, number: dict[str, int]) -> None:
    things = []
    for at in scatter(c, 4, 58):
        angle, ground = c.rng.uniform(0, np.pi), c.any(("tile", "grass", "soil"))
        for size, material in (
            *(((50, 26), ground), ((42, 22), "metal"), ((39, 19), ground)),
            *(((23, 12), "metal"), ((20, 9), ground)),
        ):
            shape = outline("block", at, size, angle)
            things.append(Thing(shape, material, number["tennis_court"]))
    c.put(things, height=0)


def _gardens(c: Canvas, number: dict[str, int]) -> None:
    ripple = 0.2 * texture(c.rng, c.shape, 4.0, c.rng.uniform(0, np.pi))
    houses = []
    for k, at in enumerate(scatter(c, 16, 30)):
        angle = c.rng.uniform(0, np.pi)
        if k % 2:
            pool = c.region(outline("block", at, (20, 11), angle))
            c.paint(pool, "water", ripple, number["Swimming_pool"])
        else:
            houses.append(Thing(outline("block", at, (22, 17), angle), c.any(ROOFS)))
    c.put(houses, height=4)


def draw_quarter(rng: Generator, shape: tuple[int, int], classes: tuple[str, ...]) -> Canvas:
    """Draw streets, houses, trees and cars of a town at high resolution, as in Potsdam.

    Labels are positions in `classes`, of which the last two are clutter and boundary.
    """
    c = Canvas(rng, shape, "grass")
    number = {title: position for position, title in enumerate(classes)}
    lawn = 0.12 * relief(rng, shape) + 0.06 * texture(rng, shape, 3.0)
    c.paint(scenes.every_pixel(c), c.any(("grass", "soil")), lawn, number["low_vegetation"])
    wood = texture(rng, shape, 150.0, spread=0.2) > 0.75
    crowns = 0.3 * texture(rng, shape, 9.0, spread=0.2)
    c.paint(wood, c.any(("grass", "canopy")), crowns, number["tree"])
    rubble = 0.35 * texture(rng, shape, 4.0, spread=0.6)
    for at in scatter(c, 3, 90):
        heap = c.region(outline("tank", at, (60, 44), rng.uniform(0, np.pi)))
        c.paint(heap, c.any(("soil", "concrete")), rubble, number["clutter"])
    _houses(c, number["building"])
    _streets(c, number)
    c.labels[_edges(c.labels)] = number["boundary"]
    return c


def _houses(c: Canvas, label: int) -> None:
    angles = (0.3, 0.3 + np.pi / 2)
    ribs = [0.15 * texture(c.rng, c.shape, 7.0, angle, spread=0.1) for angle in angles]
    for at in scatter(c, 14, 105):
        turned = int(c.rng.integers(2))
        size = (c.rng.uniform(60, 95), c.rng.uniform(45, 60))
        house = outline("block", at, size, angles[turned])
        c.put([Thing(house, "shade", label)], height=9)
        c.paint(c.region(house), c.any(("tile", "concrete", "asphalt")), ribs[turned])


def _streets(c: Canvas, number: dict[str, int]) -> None:
    height, width = c.shape
    cars = []
    for level in (c.rng.uniform(0.2, 0.4), c.rng.uniform(0.6, 0.85)):
        upright = c.rng.random() < 0.5
        length, across = (height, width * level) if upright else (width, height * level)
        ends = np.array([[across, -9], [across, length + 9]], np.float32)
        asphalt = c.line(ends if upright else ends[:, ::-1].copy(), 44)
        c.paint(asphalt, c.any(("asphalt", "concrete")), 0.0, number["impervious"])
        for place in range(20, length - 20, 40):
            if c.rng.random() < 0.6:
                side = across + float(c.rng.choice((-12, 12)))
                at = (side, place) if upright else (place, side)
                shape = outline("block", at, (26, 13), np.pi / 2 if upright else 0.0)
                cars.append(Thing(shape, c.any(PAINTS), number["car"]))
    c.put(cars, height=3)


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels are within 3 pixels of another label along an axis, bool [H, W]."""
    edge = np.zeros(labels.shape, bool)
    for step in (1, 2, 3):
        down, right = labels[step:] != labels[:-step], labels[:, step:] != labels[:, :-step]
        edge[step:] |= down
        edge[:-step] |= down
        edge[:, step:] |= right
        edge[:, :-step] |= right
    return edge
