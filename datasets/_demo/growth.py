"""Simulated places at two dates, between which some buildings come and go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from skybench.data.simulation import Canvas, Thing, outline, scatter

from . import scenes

FATES = ("stays", "comes", "goes", "field")


class Town(NamedTuple):
    """A place at two dates, and where its buildings changed."""

    before: Canvas
    after: Canvas
    changed: NDArray[np.uint8]  # [H, W], 1 where a building came or went


def grow_town(rng: Generator, shape: tuple[int, int], house: tuple[float, float]) -> Town:
    """Draw fields with houses; some are built, some removed; tilled fields are no change.

    house: smallest and largest length of a house in pixels. At least one house is built.
    """
    before = Canvas(rng, shape)
    scenes.fields(before)
    after = Canvas(rng, shape)
    after.cover, after.shine = before.cover.copy(), before.shine.copy()
    _till(after)
    changed = np.zeros(shape, np.uint8)
    places = scatter(before, int(shape[0] * shape[1] / (1.5 * house[1]) ** 2), 1.3 * house[1])
    for number, at in enumerate(places):
        size = (rng.uniform(*house), rng.uniform(house[0], 0.8 * house[1]))
        thing = Thing(outline("block", at, size, rng.uniform(0, np.pi)), before.any(scenes.ROOFS))
        fate = "comes" if number == 0 else FATES[int(rng.integers(len(FATES)))]
        if fate in ("stays", "goes"):
            before.put([thing], height=3)
        if fate in ("stays", "comes"):
            after.put([thing], height=3)
        if fate in ("comes", "goes"):
            changed[before.region(thing.corners)] = 1
    return Town(before, after, changed)


def _till(canvas: Canvas) -> None:
    """Paint another crop on a part of the ground."""
    for at in scatter(canvas, 2, min(canvas.shape) / 3):
        size = (canvas.rng.uniform(0.2, 0.4) * min(canvas.shape),) * 2
        field = canvas.region(outline("block", at, size, canvas.rng.uniform(0, np.pi)))
        canvas.paint(field, canvas.any(("grass", "soil", "canopy", "sand")))
