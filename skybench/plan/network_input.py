"""What the network of a planned cell is given: from the first sample, else from the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from skybench.core import (
    BandMapping,
    Batch,
    CannotRun,
    DatasetCard,
    Features,
    ModelCard,
    SkybenchError,
    match,
    registry,
    variants,
)
from skybench.core.model import Model, encode
from skybench.data.batching import input_size
from skybench.features.extractor import stack_dates
from skybench.plan.cell import Cell
from skybench.plan.planner import Planner
from skybench.plan.request import chosen_sensors, wanted_variant
from skybench.weights.meta_init import build_on_meta

Shapes = Mapping[str, tuple[int, int, int]]  # sensor -> dates, height, width


class NetworkInput(NamedTuple):
    """The input of a cell's network: variant, settings, bands and shapes."""

    card: DatasetCard
    variant: str
    arch: Mapping[str, Any]
    found: Mapping[str, BandMapping]
    shapes: Shapes
    samples: int  # of the training split
    note: str

    def sizes(self, card: ModelCard) -> dict[str, tuple[int, int, int, int]]:
        """Return dates, channels, height and width of each input as the network gets it."""
        sizes = {}
        for name, found in self.found.items():
            dates, *sides = self.shapes[found.sensor]
            sizes[name] = (dates, len(found.channels), *input_size(card, name, *sides))
        return sizes


def network_input(planner: Planner, cell: Cell) -> NetworkInput:
    """Return a cell's input from the first sample if the data are found, else from its card."""
    recipe, asked = cell.recipe, planner.request
    card = registry.dataset(cell.dataset_id).CARD
    found, variant, arch, note = cell.found, cell.variant, cell.arch, ""
    try:
        first = planner.first_sample(cell.dataset, recipe)
    except SkybenchError:
        shapes, count = guessed_shapes(cell, card), guessed_count(cell, recipe.train)
        most = max(shape[0] for shape in shapes.values())
        note = f"without the data: sides and {most} date(s) by the card"
    else:
        card, shapes = first.card, first.shapes
        count = len(planner.open(cell.dataset, recipe.train, recipe))
    if not found:
        plugin, sensors = registry.model(cell.model.name), chosen_sensors(card, cell.recipe.sensors)
        names = wanted_variant(asked, cell.model.name)
        variant, model = variants.select_variant(plugin, names, sensors, asked.arch)
        found, arch = match(model, sensors), variants.parse_settings(plugin, variant, asked.arch)
    needed = {f.sensor for f in found.values()}
    shapes = {n: s for n, s in shapes.items() if n in needed}
    if recipe.size:  # as `batching.resized` has it
        most = max(max(s[1:]) for s in shapes.values())
        own = {n: max(1, round(recipe.size * max(s[1:]) / most)) for n, s in shapes.items()}
        shapes = {n: (s[0], own[n], own[n]) for n, s in shapes.items()}
    return NetworkInput(card, variant, arch, found, shapes, count, note)


def guessed_shapes(cell: Cell, card: DatasetCard) -> Shapes:
    """Return shapes by the card. Raises CannotRun where it does not give the size of images."""
    sensors, setup = chosen_sensors(card, cell.recipe.sensors), card.setup(cell.task.name)
    finest = cell.recipe.tile or card.tile or max(card.image_sides, default=0) or cell.recipe.size
    if not finest:
        raise CannotRun("the side of its images is not known without the data; give --size")
    fine = min((s.gsd for s in card.sensors if s.gsd), default=0)
    fewest = 2 if cell.task.time == "keep" else 1  # a pair where the task keeps time
    shapes = {}
    for sensor in sensors:
        own = max(1, round(finest * fine / sensor.gsd)) if sensor.gsd else finest
        dates, side = card.shapes.get(sensor.name, (1, 0))
        side = round(side * finest / (card.tile or finest)) or own
        shapes[sensor.name] = (setup.series or max(dates, fewest), side, side)
    return shapes


def guessed_count(cell: Cell, split: str) -> int:
    """Return the samples of a split by the card; 0 where none are published."""
    card = registry.dataset(cell.dataset_id).CARD
    return card.splits.get(split, 0) // max(1, card.setup(cell.task.name).series)


def build_network(cell: Cell, view: NetworkInput) -> Model:
    """Return a cell's network with its large parameters on the meta device."""
    plugin = registry.model(cell.model.name)
    return build_on_meta(lambda: plugin.build(view.variant, **view.arch))


def forward_pass(
    model: Model, cell: Cell, view: NetworkInput, most: int = 0
) -> Callable[[int], Features]:
    """Return a forward pass of as many samples as asked for, on the meta device, dates stacked.

    All dates are seen, on known days, at a known place. most: as for `encode`.
    """
    sizes = view.sizes(model.card)

    def run(count: int) -> Features:
        images = {n: torch.empty((count, *s), device="meta") for n, s in sizes.items()}
        seen = {n: torch.ones(count, s[0], dtype=torch.bool) for n, s in sizes.items()}
        days = {n: torch.arange(18_000, 18_000 + s[0]).expand(count, -1) for n, s in sizes.items()}
        batch = Batch(("",) * count, images, seen, days, torch.zeros(count, 2))
        return stack_dates(encode(model, batch, cell.task.time, most))

    return run
