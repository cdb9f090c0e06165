"""Random images as models take them, for tests of every model."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from skybench.core import DB, REFLECTANCE, UINT8, Batch, ModelCard

RANGES = {UINT8: (0.0, 255.0), REFLECTANCE: (0.0, 4000.0), DB: (-25.0, 0.0)}


def smallest_size(card: ModelCard, name: str) -> tuple[int, int]:
    """The smallest height that an input asks for, and a width that is one step larger."""
    smallest, step = card.input_sizes.get(name, (card.min_pixels, card.multiple))
    side = -(-max(smallest, 16) // step) * step
    return side, side + step


def random_batch(
    card: ModelCard,
    names: Iterable[str],
    count: int = 2,
    dates: int = 1,
    square: bool = False,
    seed: int | None = None,
) -> Batch:
    """Random images in each input's unit; the same for the same arguments.

    seed: None: of each input its number of bands.
    """
    images = {}
    for sensor in card.inputs:
        low, high = RANGES[sensor.unit]
        made = torch.Generator().manual_seed(len(sensor.bands) if seed is None else seed)
        height, width = smallest_size(card, sensor.name)
        shape = (count, dates, len(sensor.bands), height, height if square else width)
        images[sensor.name] = low + (high - low) * torch.rand(shape, generator=made)
    images = {n: images[n] for n in names}
    seen = {n: torch.ones(count, dates, dtype=torch.bool) for n in images}
    days = {n: 18000 + 30 * torch.arange(dates).repeat(count, 1) for n in images}
    return Batch(tuple(map(str, range(count))), images, seen, days, torch.zeros(count, 2))
