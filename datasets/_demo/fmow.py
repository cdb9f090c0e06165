"""Writes simulated images of fMoW-Sentinel in the official layout."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine

from skybench.data import simulation

from .._readers.fmow import FOLDER
from . import scenes

COUNTS = {"train": 6, "val": 4, "test_gt": 3}  # images a class; papers report val
SCENES = {
    "airport": scenes.planes,
    "crop_field": scenes.fields,
    "factory_or_powerplant": scenes.factories,
    "lake_or_pond": scenes.open_water,
    "parking_lot_or_garage": scenes.parking,
    "port": scenes.harbor,
    "single-unit_residential": scenes.town,
    "storage_tank": scenes.tanks,
}
STEP = 9e-5  # degrees of a pixel, some 10 m


def write_fmow(root: Path, bands: tuple[str, ...], seed: int) -> None:
    """Write images of 28 to 44 pixels a side and the three CSV files."""
    for part, count in COUNTS.items():
        rows = []
        for number in range(count):
            for category in SCENES:
                rows.append(_write(root / FOLDER / part, category, number, bands, seed))
        with (root / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("category", "location_id", "image_id", "timestamp", "polygon"))
            table.writerows(rows)


def _write(
    folder: Path, category: str, number: int, bands: tuple[str, ...], seed: int
) -> tuple[str | int, ...]:
    """Write an image; return its row of the CSV file."""
    rng = simulation.rng_of(seed, folder.name, category, number)
    canvas = simulation.Canvas(rng, (int(rng.integers(28, 45)), int(rng.integers(28, 45))))
    SCENES[category](canvas)
    seen = 1e4 * canvas.reflectance(bands) + 30 * rng.standard_normal((len(bands), *canvas.shape))
    location, image = divmod(number, 2)
    place = f"{category}_{location}"
    path = folder / category / place / f"{place}_{100 * image}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    west, north = float(rng.uniform(-180, 179)), float(rng.uniform(-60, 60))
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(bands), "crs": "EPSG:4326"}
    profile |= {"height": canvas.shape[0], "width": canvas.shape[1], "compress": "deflate"}
    where = Affine(STEP, 0.0, west, 0.0, -STEP, north)
    with rasterio.open(path, "w", transform=where, **profile) as tif:
        tif.write(seen.clip(1, 10_000).round().astype(np.uint16))
    east, south = west + STEP * canvas.shape[1], north - STEP * canvas.shape[0]
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    polygon = ", ".join(f"{x} {y}" for x, y in corners)
    day = date(2015, 7, 1) + timedelta(int(rng.integers(1600)))
    fraction = ".5" if image else ""  # some timestamps have one
    return category, location, 100 * image, f"{day}T10:30:00{fraction}Z", f"POLYGON (({polygon}))"
