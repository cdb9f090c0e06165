"""Reads DynamicEarthNet: monthly labels with Planet, Sentinel-2 and Sentinel-1 images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rasterio.enums import Resampling
from rasterio.windows import Window

from skybench.core import DataError, DatasetCard, Sample, Sensor, Target, UsageError
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation

from . import decode, dynamic_tree, georeference, layout, raster, tiles
from .dynamic_facts import CLASSES, CUBES, LATER, MONTHS, ORDERS, QUARTER, UNSEEN
from .dynamic_tree import LabelledMonth

if TYPE_CHECKING:
    import torch

FOLDERS = ("DynamicEarthNet", "dynamicearthnet", "dynamic_earthnet")
STORED = {"s2": 12, "s1": 8}  # bands
HELD = 255  # in the band of the class that a pixel has, 0 in the others
DARKEST = 1e-5  # linear backscatter below it counts as this, -50 dB


class StoredBands(NamedTuple):
    """The options that decide what a sample is and how stored bands are read."""

    series: bool  # all months of a cube are one sample
    linear: bool  # Sentinel-1 is stored as linear power
    orders: Mapping[str, tuple[str, ...]]  # Sentinel sensor -> names of the stored bands


class CubeTile(NamedTuple):
    """A tile of one month, or of all months of a cube; y, x: its first row and column."""

    months: tuple[LabelledMonth, ...]
    y: int
    x: int


class Cubes(Samples):
    """Tiles of months: hr [T, 4, H, W], s2 and s1 [T, C, H / 4, W / 4], mask uint8 [H, W].

    T is 1, or the number of dates that the option `dates` asks for. A series has one date and one
    mask for each month: uint8 [24, H, W]. Sides and offsets of tiles are in pixels of the label.
    The key is <cube>_<month>_<y>_<x>, of a series <cube>_<y>_<x>.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        samples: Sequence[tuple[LabelledMonth, ...]],
        whole: int,
        reading: StoredBands,
    ) -> None:
        """whole: side of the labels; `split.sha256` is computed here."""
        self.card, self.whole, self.reading = card, whole, reading
        starts = tiles.tile_starts(whole, card.tile, card.tile)
        self.items = tuple(
            CubeTile(months, y, x) for months in samples for y in starts for x in starts
        )
        self.keys = tuple(self._key(item) for item in self.items)
        self.groups = tuple(item.months[0].cube for item in self.items)
        self.whole_images = len(starts) == 1
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)
        months = [month for sample in samples for month in sample]
        paths = {d.path for m in months for dated in m.images.values() for d in dated}
        self.files = tuple(sorted(paths))
        self.label_files = tuple(sorted({m.label for m in months}))

    def _key(self, item: CubeTile) -> str:
        first = item.months[0]
        month = "" if self.reading.series else f"_{first.month}"
        return f"{first.cube}{month}_{item.y}_{item.x}"

    def read(self, index: int) -> Sample:
        import torch

        months, y, x = self.items[index]
        side = self.card.tile
        window, inside = Window(x, y, side, side), decode.Window(y, x, side, side)
        masks, extents = self._labels(months, window)
        images, days = {}, {}
        for sensor in (s for s in self.card.sensors if self.needs(s.name)):
            dated = [d for month in months for d in month.images[sensor.name]]
            stack = [self._image(d.path, sensor, extents[0], window) for d in dated]
            images[sensor.name] = torch.from_numpy(np.stack(stack))
            days[sensor.name] = torch.tensor([d.day for d in dated])
        target = torch.from_numpy(np.stack(masks) if self.reading.series else masks[0])
        lonlat = georeference.window_centre(extents[0], (self.whole, self.whole), inside)
        return Sample(self.keys[index], images, target, days, lonlat)

    def target(self, index: int) -> torch.Tensor:
        import torch

        months, y, x = self.items[index]
        masks, _ = self._labels(months, Window(x, y, self.card.tile, self.card.tile))
        return torch.from_numpy(np.stack(masks) if self.reading.series else masks[0])

    def _labels(
        self, months: Sequence[LabelledMonth], window: Window
    ) -> tuple[tuple[decode.Array, ...], tuple[georeference.Extent, ...]]:
        masks, extents = zip(*(self._label(m.label, window) for m in months), strict=True)
        return masks, extents

    def _label(self, path: Path, window: Window) -> tuple[decode.Array, georeference.Extent]:
        """Read class ids, uint8 [H, W], from 7 one-hot bands; snow & ice and unlabelled are 255."""
        with decode.open_raster(path) as source:
            self._square(path, source, len(CLASSES) + 1)
            bands = source.read(window=window)
            extent = georeference.extent_of(source)
        held = bands == HELD
        if not (held | (bands == 0)).all():
            raise DataError(f"{path} holds {bands[~held].max()}; expected 0 and 255 in each band")
        several = (held.sum(0) > 1).sum()
        if several:
            raise DataError(
                f"{path} gives {several} pixels more than one class; expected one of 7 bands to "
                "be 255. Get this file again"
            )
        snow = len(CLASSES)
        ids = np.where(held[:snow].any(0), held.argmax(0), raster.IGNORE)
        return ids.astype(np.uint8), extent

    def _image(
        self, path: Path, sensor: Sensor, where: georeference.Extent, window: Window
    ) -> decode.Array:
        """Read a window of an image, [C, h, w], in the sensor's band order; uint16 as int32."""
        with decode.open_raster(path) as source:
            if georeference.lie_apart(where, georeference.extent_of(source)):
                raise DataError(
                    f"{path} does not lie where its label does: {georeference.extent_of(source)}, "
                    f"expected {where}; it is of another cube, or its georeference is wrong"
                )
            if sensor.name in STORED:
                pixels = self._quarter(path, source, sensor, window)
            else:
                self._square(path, source, len(sensor.bands))
                pixels = source.read(window=window)
        pixels = pixels.astype(np.int32) if pixels.dtype == np.uint16 else pixels
        return self._decibels(path, pixels) if sensor.name == "s1" else pixels

    def _square(self, path: Path, source: Any, bands: int) -> None:
        if (source.count, source.height, source.width) != (bands, self.whole, self.whole):
            raise DataError(
                f"{path} is {source.count} bands of {source.height} x {source.width} pixels; "
                f"expected {bands} of {self.whole} x {self.whole}, as the first label"
            )

    def _quarter(self, path: Path, source: Any, sensor: Sensor, window: Window) -> decode.Array:
        """Read a window averaged to a quarter of the label's resolution, from any stored size."""
        order = self.reading.orders[sensor.name]
        if source.count != len(order):
            raise DataError(f"{path} has {source.count} bands; expected {len(order)}")
        down, across = source.height / self.whole, source.width / self.whole
        own = Window(
            window.col_off * across,
            window.row_off * down,
            window.width * across,
            window.height * down,
        )
        small = window.width // QUARTER
        return np.asarray(
            source.read(
                [order.index(band) + 1 for band in sensor.bands],
                window=own,
                out_shape=(len(sensor.bands), small, small),
                resampling=Resampling.average,
            )
        )

    def _decibels(self, path: Path, pixels: decode.Array) -> decode.Array:
        if self.reading.linear:
            return np.asarray(10 * np.log10(np.maximum(pixels, DARKEST)), np.float32)
        if (pixels > 0).any() and not (pixels < 0).any():
            raise DataError(
                f"{path} has no value below 0, so it is not in dB; if it is linear power, pass "
                "--option s1_unit=linear"
            )
        return pixels


def open_cubes(
    card: DatasetCard, root: Path, split: str, tile: int, options: Mapping[str, str]
) -> Cubes:
    """Open a split with the card's sensors. Raises DataError, UsageError, MissingFilesError."""
    name = layout.resolve_split(card, split)
    tree = layout.locate_tree(card, root, FOLDERS, dynamic_tree.holds_labels)
    simulated = simulation.is_demo(root, tree)
    chosen = layout.resolve_options(card, options, simulation.stated_options(root))
    series = chosen.get("sample") == "series"
    reading = StoredBands(series, chosen.get("s1_unit") == "linear", _orders(card, chosen))
    dynamic_tree.require_official_splits({root, tree})
    found = dynamic_tree.scan_cubes(tree, tuple(sensor.name for sensor in card.sensors))
    search = dynamic_tree.MonthSearch(found, chosen.get("dates", ""), simulated)
    cubes = dynamic_tree.cubes_of(found, name, chosen["cubes"], simulated)
    found_months = [search.cube(cube) for cube in cubes]
    search.check(f"{card.title} in {tree}")
    samples = found_months if series else [(m,) for months in found_months for m in months]
    if not samples:
        raise DataError(f"split {name!r} of {card.title} in {tree} is empty")
    whole = decode.raster_size(samples[0][0].label)[0]
    side = min(tile or card.tile, whole)
    if side % QUARTER and set(STORED) & set(found):
        raise UsageError(f"tiles of {side} pixels: expected a multiple of {QUARTER}")
    per_cube = 1 if series else len(MONTHS)
    later = len(LATER) if chosen["cubes"] == "53" else 0
    counts = {n: len(c) - (later if n == "train" else 0) for n, c in CUBES.items()}
    card = replace(card, tile=side, splits={n: c * per_cube for n, c in counts.items()})
    if series:
        card = replace(card, target=Target("masks", raster.IGNORE))
    short = not simulated and len(cubes) < counts[name]
    source = _source(short, len(search.gaps))
    return Cubes(card, Split(name, source, "", simulated), samples, whole, reading)


def _source(short: bool, gaps: int) -> str:
    text = f"ours: official cubes without {UNSEEN}" if short else "official cubes"
    return f"{text}; {gaps} months have a neighbour's Sentinel images" if gaps else text


def _orders(card: DatasetCard, chosen: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the stored band order of the Sentinel files. Raises DataError if it is not given."""
    orders = {}
    for sensor in card.sensors:
        if sensor.name not in STORED:
            continue
        option = f"{sensor.name}_bands"
        what = f"{option}: {card.options[option].text}"
        if not chosen[option]:
            raise DataError(
                f"{card.title} cannot be read before its user states {what}. It was asked in "
                "dynnet#10 and DENETHOR#8 and not answered; the band means that GEO-Bench-2 "
                f"published fit s2_bands=by_resolution. Pass --option {option}=…"
            )
        order = ORDERS.get(chosen[option]) or tuple(b.strip() for b in chosen[option].split(","))
        strange = set(order) - {*sensor.bands, "_"} or [
            band for band in sensor.bands if order.count(band) != 1
        ]
        if strange or len(order) != STORED[sensor.name]:
            raise UsageError(
                f"{option}={chosen[option]} names {len(order)} bands; expected "
                f"{STORED[sensor.name]} with each of {', '.join(sensor.bands)} once. {what}"
            )
        orders[sensor.name] = order
    return orders
