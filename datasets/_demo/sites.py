"""Simulated aerial scenes with objects to detect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from skybench.data.simulation import Canvas, Floats, Thing, outline, relief, scatter, texture

from . import scenes

PAINTS = (*scenes.ROOFS, "shade")


class ObjectKind(NamedTuple):
    """The outline and size of the objects of a class."""

    shape: str  # an outline of skybench.data.simulation, or "court"
    size: tuple[float, float]  # length and width in pixels; objects vary by 15 %


class PlacedObject(NamedTuple):
    """An object that was drawn: class name and box."""

    name: str
    corners: Floats  # [4, 2] as (x, y) in pixels, in turn around the box


def draw_site(
    rng: Generator, shape: tuple[int, int], kinds: Mapping[str, ObjectKind]
) -> tuple[Canvas, list[PlacedObject]]:
    """Draw land, or land beside water, with objects of random classes; ships only on water.

    Objects do not overlap; about as many as fit, at most nine in 160 x 160 pixels.
    """
    canvas = Canvas(rng, shape)
    grain = 0.15 * relief(rng, shape) + 0.08 * texture(rng, shape, 3.0)
    canvas.paint(
        scenes.every_pixel(canvas), canvas.any(("soil", "grass", "asphalt", "concrete")), grain
    )
    wood = texture(rng, shape, 40.0, spread=0.3) > 1.2
    canvas.paint(wood, "canopy", 0.3 * texture(rng, shape, 6.0, spread=0.2))
    water = _water(canvas) if rng.random() < 0.7 else np.zeros(shape, bool)
    gap = 1.15 * max(max(kind.size) for kind in kinds.values())
    afloat = [name for name, kind in kinds.items() if kind.shape == "ship"]
    ashore = [name for name, kind in kinds.items() if kind.shape != "ship"]
    placed = []
    for x, y in scatter(canvas, int(shape[0] * shape[1] / 2800), gap):
        names = afloat if water[int(y), int(x)] else ashore
        name = names[int(rng.integers(len(names)))]
        placed.append(PlacedObject(name, _put(canvas, kinds[name], (x, y))))
    return canvas, placed


def _water(canvas: Canvas) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Paint a bay on one side; return its mask, bool [H, W]."""
    angle = canvas.rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : canvas.shape[0] * 1j, -1 : 1 : canvas.shape[1] * 1j]
    height = x * np.cos(angle) + y * np.sin(angle) + 0.08 * relief(canvas.rng, canvas.shape)
    bay = np.asarray(height > canvas.rng.uniform(-0.3, 0.3))
    waves = texture(canvas.rng, canvas.shape, 9.0, angle, spread=0.25)
    canvas.paint(bay, "water", 0.15 * waves)
    return bay


def _put(canvas: Canvas, kind: ObjectKind, at: tuple[float, float]) -> Floats:
    """Paint an object; return the corners of its box, [4, 2]."""
    scale, angle = canvas.rng.uniform(0.85, 1.15), canvas.rng.uniform(0, 2 * np.pi)
    size = (kind.size[0] * scale, kind.size[1] * scale)
    if kind.shape == "court":
        _court(canvas, at, size, angle)
    else:
        body = outline(kind.shape, at, size, angle)
        canvas.put([Thing(body, canvas.any(PAINTS))], height=1 if kind.shape == "ship" else 3)
    return outline("block", at, size, 0.0 if kind.shape == "tank" else angle)


def _court(
    canvas: Canvas, at: tuple[float, float], size: tuple[float, float], angle: float
) -> None:
    ground = canvas.any(("tile", "grass", "soil"))
    for share, material in ((1.0, ground), (0.86, "metal"), (0.74, ground), (0.4, "metal")):
        part = outline("block", at, (size[0] * share, size[1] * share), angle)
        canvas.put([Thing(part, material)], height=0)
    line = outline("block", at, (2.0, size[1] * 0.86), angle)
    canvas.put([Thing(line, "metal")], height=0)
