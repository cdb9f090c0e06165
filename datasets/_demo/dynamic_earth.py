"""Simulated DynamicEarthNet: land cover that changes, and seasons that are no change."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.warp import transform

from skybench.core import DatasetCard
from skybench.data import simulation
from skybench.data.simulation import Canvas, Floats, Thing, grid, outline, relief, scatter, texture

from .._readers.dynamic_facts import CLASSES, MONTHS, ORDERS, PLANET, QUARTER, S1, TEST, TRAIN, VAL
from . import scenes, seasons

SIDE = 128  # pixels
SNOW = len(CLASSES)  # the seventh band
STATED = {"s2_bands": "by_resolution", "s1_bands": "vv,vh,_,_,_,_,_,_"}
STEP = 8  # of stored reflectance x 1e4: coarser than a sensor's, so that files are small
CROPS = ("soft_winter_wheat", "corn", "sunflower", "winter_rapeseed")


def write_dynamic_earth(card: DatasetCard, root: Path, seed: int) -> None:
    """Write labels and the card's sensors for the first half of 2018; one composite is missing."""
    series = "change_detection" in card.tasks  # few samples, so more cubes
    for cube in (*TRAIN[: 6 if series else 3], *VAL[:1], *TEST[:2]):
        for number, month in enumerate(MONTHS[:6]):
            canvas, green, labels = _place(simulation.rng_of(seed, cube), number)
            rng = simulation.rng_of(seed, cube, month)
            files = _Files(root, cube, month)
            files.label(labels)
            for sensor in card.sensors:
                if sensor.name == "hr":
                    files.planet(canvas, green, rng)
                elif sensor.name == "s2" and (cube, number) != (TRAIN[0], 3):
                    files.sentinel2(canvas, green, rng)
                elif sensor.name == "s1":
                    files.sentinel1(canvas, green, rng)
    stated = {k: v for k, v in STATED.items() if k in card.options}
    simulation.write_marker(root, card.name, seed, **stated)


def _place(rng: np.random.Generator, month: int) -> tuple[Canvas, Floats, NDArray[np.uint8]]:
    """Draw a place, `month` months after January: canvas, vigour and labels, [H, W] each.

    Random values are drawn in the same order for every month, so only what depends on the month
    differs.
    """
    c = Canvas(rng, (SIDE, SIDE), "grass")
    wet, woods = relief(rng, c.shape), relief(rng, c.shape)
    labels = np.full(c.shape, CLASSES.index("agriculture"), np.uint8)
    labels[woods > 0.6] = CLASSES.index("forest")
    flood = 0.35 if month in (2, 3) else 0.0  # the river leaves its bed in March
    labels[wet > 0.7] = CLASSES.index("wetlands")
    labels[wet > 1.3 - flood] = CLASSES.index("water")
    discs = [outline("tank", at, (46, 46), 0) for at in scatter(c, 4, 40)]
    regions = [c.region(disc) for disc in discs]
    kinds = ("impervious", "soil" if month < 3 else "impervious", "soil", "agriculture")
    for region, kind in zip(regions, kinds, strict=False):
        labels[region] = CLASSES.index(kind)
    if month >= 4:  # half of the woods is cleared in May
        labels[(labels == CLASSES.index("forest")) & (wet < 0)] = CLASSES.index("soil")
    green = _dress(c, labels, _day(month))
    if month == 0:
        snow = woods > 1.9
        c.paint(snow, "metal")
        labels[snow] = SNOW
    return c, green, labels


def _day(month: int) -> int:
    return datetime.date.fromisoformat(f"{MONTHS[month]}-01").timetuple().tm_yday


def _dress(c: Canvas, labels: NDArray[np.uint8], day: int) -> Floats:
    """Paint the labels, each class with its own texture; return the vigour."""
    rows = [texture(c.rng, c.shape, 5.0, angle, spread=0.12) for angle in (0.4, 1.3, 2.2, 2.9)]
    looks: dict[str, tuple[str, Floats]] = {
        "forest": ("canopy", 0.3 * texture(c.rng, c.shape, 6.0, spread=0.2)),
        "wetlands": ("grass", 0.1 * texture(c.rng, c.shape, 3.0)),
        "soil": ("soil", 0.15 * texture(c.rng, c.shape, 20.0)),
        "water": ("water", 0.15 * texture(c.rng, c.shape, 9.0, 0.8, spread=0.25)),
        "impervious": (c.any(("asphalt", "concrete")), 0.05 * texture(c.rng, c.shape, 3.0)),
    }
    for kind, (material, grain) in looks.items():
        c.paint(labels == CLASSES.index(kind), material, grain)
    green = np.full(c.shape, seasons.vigour("trees", day), np.float32)
    parcels = np.digitize(relief(c.rng, c.shape), (-0.7, 0.0, 0.7))
    for number, crop in enumerate(CROPS):
        here = (labels == CLASSES.index("agriculture")) & (parcels == number)
        c.paint(here, "grass", 0.12 * rows[number])
        green[here] = seasons.vigour(crop, day)
    wetlands = labels == CLASSES.index("wetlands")
    c.paint(wetlands & (texture(c.rng, c.shape, 12.0) > 0.7), "water")
    green[wetlands] = seasons.vigour("reeds", day)
    _build(c, labels == CLASSES.index("impervious"))
    return green


def _build(c: Canvas, where: NDArray[np.bool_]) -> None:
    """Draw roofs on a rotated grid inside of a region."""
    town = Canvas(c.rng, c.shape, "asphalt")
    blocks = [outline("block", at, (7.5, 6.0), angle) for at, angle, _ in grid(c, 11.0, 1.0)]
    town.put([Thing(block, town.any(scenes.ROOFS)) for block in blocks])
    built = where & (town.cover != simulation.MATERIAL_NAMES.index("asphalt"))
    c.cover[built], c.shine[built] = town.cover[built], town.shine[built]


class _Files:
    """Writes the files of one month of a cube."""

    def __init__(self, root: Path, cube: str, month: str) -> None:
        self.root, self.cube, self.month = root, cube, month
        # A cube's name is its place in a grid of 8192 Web Mercator tiles (as Planet's quads).
        column, row, _ = map(int, cube.split("_"))
        self.lon = (column + 0.5) / 8192 * 360 - 180
        self.lat = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (row + 0.5) / 8192))))
        zone = int((self.lon + 180) // 6) + 1
        self.zone = f"{zone}{'N' if self.lat >= 0 else 'S'}"
        self.crs = f"EPSG:{(32600 if self.lat >= 0 else 32700) + zone}"

    def label(self, labels: NDArray[np.uint8]) -> None:
        quad = f"{self.zone}-{abs(self.lon):.0f}{'W' if self.lon < 0 else 'E'}-"
        quad += f"{abs(self.lat):.0f}{'N' if self.lat >= 0 else 'S'}-L3H-SR"
        folder = self.root / "labels" / f"{self.cube}_{self.zone}" / "Labels" / "Raster" / quad
        hot = 255 * (labels == np.arange(SNOW + 1)[:, None, None]).astype(np.uint8)
        self._write(folder / f"{quad}-{self.month.replace('-', '_')}_01.tif", hot)

    def planet(self, c: Canvas, green: Floats, rng: np.random.Generator) -> None:
        folder = self.root / "planet" / self.zone / "0E-0N" / self.cube / "PF-SR"
        seen = _stored(c.reflectance(PLANET.bands, green), rng)
        self._write(folder / f"{self.month}-01.tif", seen)

    def sentinel2(self, c: Canvas, green: Floats, rng: np.random.Generator) -> None:
        seen = _coarse(c.reflectance(ORDERS[STATED["s2_bands"]], green))
        self._composite("sentinel2", _stored(seen, rng))

    def sentinel1(self, c: Canvas, green: Floats, rng: np.random.Generator) -> None:
        power = _coarse(10 ** (c.backscatter(S1.bands, rng) / 10))
        seen = 10 * np.log10(power) + 2 * _coarse(green[None])
        others = np.zeros((6, *seen.shape[1:]), np.float32)
        self._composite("sentinel1", np.concatenate([seen.round(1), others]).astype(np.float32))

    def _composite(self, folder: str, small: NDArray[Any]) -> None:
        """Write a composite at the label's size, as in the release: each pixel 4 x 4 times."""
        name = f"{self.cube}_{self.month.replace('-', '_')}.tif"
        pixels = small.repeat(QUARTER, 1).repeat(QUARTER, 2)
        self._write(self.root / folder / self.zone / self.cube / name, pixels)

    def _write(self, path: Path, pixels: NDArray[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        (x,), (y,) = transform("EPSG:4326", self.crs, [self.lon], [self.lat])
        profile = {
            "driver": "GTiff",
            "count": len(pixels),
            "height": SIDE,
            "width": SIDE,
            "dtype": pixels.dtype,
            "crs": self.crs,
            "transform": Affine(PLANET.gsd, 0, x, 0, -PLANET.gsd, y),
            "compress": "deflate",
            "interleave": "band",
        }
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels)


def _coarse(pixels: NDArray[np.floating[Any]]) -> Floats:
    """Average 4 x 4 pixels, [C, H / 4, W / 4]."""
    shape = (len(pixels), SIDE // QUARTER, QUARTER, SIDE // QUARTER, QUARTER)
    return np.asarray(pixels.reshape(shape).mean((2, 4)), np.float32)


def _stored(seen: Floats, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return reflectance x 1e4 under a random atmosphere."""
    hazy = seen * rng.uniform(0.88, 1.12) + rng.uniform(0, 0.015)
    hazy = hazy + 0.003 * rng.standard_normal(seen.shape, np.float32)
    return np.asarray((hazy * 1e4 / STEP).round().clip(0, 10000 // STEP) * STEP, np.uint16)
