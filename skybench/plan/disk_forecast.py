"""Forecast of the disk that a plan's cells will take, before anything is written.

Decoded images and features, by the first sample where the data are there, else by the card. What
is written when is decided in `skybench.runner.cell_features` and `skybench.features.extraction`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from skybench.core import Recipe, SkybenchError, folders, registry
from skybench.core.dataset import Joined, are_tiles
from skybench.core.sensors import DB, REFLECTANCE
from skybench.data import decoded
from skybench.features import extraction
from skybench.plan.cell import Cell, feature_sizes, reading
from skybench.plan.first_sample import FirstSample
from skybench.plan.network_input import guessed_count, guessed_shapes, network_input
from skybench.plan.planner import Planner
from skybench.plan.requirements import require_sense

STORED = {REFLECTANCE: 2, DB: 4}  # bytes of a value by its unit; others: 1


class Disk(NamedTuple):
    """Bytes that one cell adds to the disk; those that an earlier one has written are 0."""

    images: int = 0  # that are decoded
    decoded: float = 0.0
    too_large: bool = False  # beyond the budget, so decoded whenever they are read
    pooled: float = 0.0
    dense: float = 0.0
    streamed: float = 0.0  # dense features that the disk cannot hold: computed for each batch

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; bytes are whole."""
        return {
            "decoded_images": self.images, "decoded_bytes": round(self.decoded),
            "decoded_fits": not self.too_large, "pooled_bytes": round(self.pooled),
            "dense_bytes": round(self.dense), "streamed_bytes": round(self.streamed),
        }  # fmt: skip


def reads_repeatedly(recipe: Recipe, count: int) -> bool:
    """Return whether training in steps on `count` samples reads each of them several times."""
    steps = recipe.steps(max(1, round(count * recipe.fraction)))
    return steps * recipe.batch >= 2 * count * recipe.fraction


class DiskForecaster:
    """Forecasts the cells of a plan, in the order in which they run."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.written = 0.0  # bytes, by the cells before
        self.counts: dict[Any, int] = {}  # samples that an earlier cell has written
        self.unions: dict[Any, int] = {}

    def __call__(self, cell: Cell) -> Disk:
        """Return what a cell adds; nothing for one that is done, cannot run or cannot be told."""
        if cell.status != "planned" and cell.lacks != "data":
            return Disk()
        try:
            require_sense(cell)
            if cell.protocol.level == "pyramid" and not cell.model.levels:
                return Disk()
            if not cell.splits:  # as it would be matched
                view = network_input(self.planner, cell)
                cell = replace(cell, variant=view.variant, arch=view.arch, found=view.found)
            return self._of(cell, self._first(cell))
        except SkybenchError:
            return Disk()

    def _of(self, cell: Cell, first: FirstSample) -> Disk:
        learns = cell.protocol.trains_backbone or bool(cell.recipe.augment)
        features = Disk() if learns else self._features(cell, first)
        extracts = bool(features.pooled or features.streamed)
        steps = learns or bool(cell.recipe.views)
        several = steps and reads_repeatedly(cell.recipe, self._trained_on(cell))
        several = several or bool(features.streamed)
        if cell.recipe.views:
            features, extracts = Disk(), False  # kept features are of one view
        sensors = self._sensors(cell, first)
        if _is_plain(cell, sensors) or not (several or (extracts and self._tiled(cell))):
            return self._counted(features)
        count, size = self._missing(cell), first.bytes(sensors)
        taken, budget = count * size, decoded.budget(self.written)
        if taken > budget:
            return self._counted(features._replace(images=count, decoded=taken, too_large=True))
        return self._counted(features._replace(images=count, decoded=taken))

    def _counted(self, disk: Disk) -> Disk:
        self.written += disk.pooled + disk.dense + (0 if disk.too_large else disk.decoded)
        return disk

    def _features(self, cell: Cell, first: FirstSample) -> Disk:
        """The features that extraction writes, of images that no earlier cell has had."""
        recipe, level = cell.recipe, cell.protocol.level
        network = (cell.model.name, cell.variant, repr(cell.arch), recipe.precision)
        new = self._new((*network, recipe.size, recipe.rounding, level, *_read(cell)), cell)
        sensors = self._sensors(cell, first)
        dates = max(first.shapes[s][0] for s in sensors) if cell.task.time == "keep" else 1
        pooled, dense = (new * dates * size for size in feature_sizes(cell))
        if level == "pooled":
            return Disk(pooled=pooled)
        if dense > extraction.disk_budget(self.written):
            return Disk(streamed=dense)
        return Disk(pooled=pooled, dense=dense)

    def _new(self, key: Any, cell: Cell) -> int:
        count = self._count(cell)
        before, self.counts[key] = self.counts.get(key, 0), max(count, self.counts.get(key, 0))
        return max(0, count - before)

    def _count(self, cell: Cell) -> int:
        """The samples of all cells that read the dataset alike, each once."""
        if not cell.pool:
            recipe = cell.recipe
            parts = {recipe.train, recipe.val, recipe.test} - {""}
            return sum(guessed_count(cell, part) for part in parts)
        key = (*_read(cell), *sorted(cell.pool))
        if key not in self.unions:
            self.unions[key] = len({key for s in cell.pool.values() for key in s.keys})
        return self.unions[key]

    def _missing(self, cell: Cell) -> int:
        """The samples that are in no shard yet, neither on the disk nor by an earlier cell."""
        sensors = frozenset(f.sensor for f in cell.found.values())
        new = self._new(("decoded", sensors, *_read(cell)), cell)
        if not cell.pool or not new:
            return new
        samples = Joined({name: s.only(sensors) for name, s in cell.pool.items()})
        return min(new, decoded.count_missing(samples, reading(cell, samples.card)))

    def _trained_on(self, cell: Cell) -> int:
        train = cell.splits.get("train")
        return guessed_count(cell, cell.recipe.train) if train is None else len(train)

    def _sensors(self, cell: Cell, first: FirstSample) -> list[str]:
        return sorted({f.sensor for f in cell.found.values()} & {*first.shapes}) or [*first.shapes]

    def _first(self, cell: Cell) -> FirstSample:
        """The first sample; without the data a guess by the card."""
        if cell.splits:
            return self.planner.first_sample(cell.dataset, cell.recipe)
        card = registry.dataset(cell.dataset_id).CARD
        shapes = guessed_shapes(cell, card)
        sizes = {
            s.name: len(s.bands) * math.prod(shapes[s.name]) * STORED.get(s.unit, 1)
            for s in card.sensors
            if s.name in shapes
        }
        dates = card.setup(cell.task.name).series or 1
        masks = card.target is not None and card.target.kind.startswith("mask")
        target = dates * (cell.recipe.tile or card.tile) ** 2 if masks else 0
        return FirstSample(card, shapes, sizes, target)

    def _tiled(self, cell: Cell) -> bool:
        """Whether extraction reads tiles, of which several share an image."""
        if not cell.pool:
            card = registry.dataset(cell.dataset_id).CARD
            side = cell.recipe.tile or card.tile
            return side > 0 and side not in card.image_sides
        key = ("tiled", *_read(cell), *sorted(cell.pool))
        if key not in self.unions:
            self.unions[key] = any(are_tiles(samples) for samples in cell.pool.values())
        return bool(self.unions[key])


def _is_plain(cell: Cell, sensors: Sequence[str]) -> bool:
    """Whether files need no decoding, or do not tell what they are."""
    if not cell.pool:
        return {*sensors} <= {*registry.dataset(cell.dataset_id).CARD.plain}
    read = (samples.only(sensors) for samples in cell.pool.values())
    return any(samples.plain or not samples.files for samples in read)


def _read(cell: Cell) -> tuple[Any, ...]:
    return cell.dataset, cell.recipe.tile, cell.recipe.options, cell.recipe.limit


def add_disk(rows: Sequence[dict[str, Any]], cells: Sequence[Cell], planner: Planner) -> list[Disk]:
    """Add a forecast to the row of each cell, under "disk"; return the forecasts."""
    forecast = DiskForecaster(planner)
    found = [forecast(cell) for cell in cells]
    for row, disk in zip(rows, found, strict=True):
        row["disk"] = disk.to_json()
    return found


def disk_table(cells: Sequence[Cell], forecasts: Sequence[Disk]) -> list[dict[str, str]]:
    """Return a row for each dataset that something is written of."""
    rows = []
    for name in dict.fromkeys(cell.dataset for cell in cells):
        own = [d for c, d in zip(cells, forecasts, strict=True) if c.dataset == name]
        fit = [d for d in own if not d.too_large]
        beyond = [d.decoded for d in own if d.too_large]
        row = {
            "dataset": name,
            "images": f"{sum(d.images for d in fit):,}",
            "decoded images": _told(sum(d.decoded for d in fit), beyond),
            "pooled features": _told(sum(d.pooled for d in own)),
            "dense features": _told(
                sum(d.dense for d in own), [d.streamed for d in own if d.streamed]
            ),
        }
        if any(d.images or d.pooled or d.streamed for d in own):
            rows.append(row)
    return rows


def disk_total(forecasts: Sequence[Disk]) -> str:
    """Return what all cells together write, and within which budgets."""
    images = sum(d.decoded for d in forecasts if not d.too_large)
    features = sum(d.pooled + d.dense for d in forecasts)
    return (
        f"Disk: at most {_size(images + features)} in {folders.cache()}, {_size(images)} of it "
        f"decoded images and {_size(features)} features. Now "
        f"{_size(decoded.budget())} are allowed for the images of a dataset "
        f"(SKYBENCH_DECODED_GB), {_size(extraction.disk_budget())} for the dense features of a "
        "cell (SKYBENCH_BUDGET_GB); what is larger is computed each time it is read."
    )


def _told(size: float, beyond: Sequence[float] = ()) -> str:
    """A size, and the largest of what does not fit; "" for nothing."""
    parts = [_size(size)] if size else []
    parts += [f"{_size(max(beyond))} too large"] if beyond else []
    return ", ".join(parts)


def _size(size: float) -> str:
    """Bytes in GB, or in MB below 0.1 GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
