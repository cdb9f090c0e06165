"""Simulated PASTIS: parcels whose crops differ in phenology, not in appearance."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine

from skybench.core import DatasetCard
from skybench.data import simulation
from skybench.data.simulation import Canvas, Floats, scatter, texture

from .._readers.pastis import FILES, FINER, VOID
from . import seasons

SIDE = 32  # pixels of 10 m
A_FOLD = 3  # patches
CROPS = ("meadow", "soft_winter_wheat", "corn", "winter_rapeseed", "sunflower")
DATES = {
    "s2": (
        *("2018-10-20", "2018-12-10", "2019-02-15", "2019-04-01", "2019-05-15", "2019-06-10"),
        *("2019-07-12", "2019-08-20"),
    ),
    "s1a": ("2018-11-08", "2019-03-25", "2019-05-30", "2019-07-20"),
    "s1d": ("2018-11-11", "2019-03-28", "2019-06-02", "2019-07-23"),
}
PLACE = (620_000.0, 6_860_000.0)  # Lambert 93, near Chartres


class Field(NamedTuple):
    """The parcels of a patch at 1 m."""

    canvas: Canvas
    parcels: NDArray[np.intp]  # number of the parcel
    classes: NDArray[np.uint8]  # of each parcel
    late: Floats  # days that each parcel is late


def write_pastis(card: DatasetCard, root: Path, seed: int) -> None:
    """Write patches of each of five folds into PASTIS-R/, with SPOT images."""
    tree, features = root / "PASTIS-R", []
    for folder, _ in FILES.values():
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for number in range(5 * A_FOLD):
        key, fold = str(10000 + number), 1 + number // A_FOLD
        west, north = PLACE[0] + 2000 * number, PLACE[1] + 9000 * fold
        field = _field(simulation.rng_of(seed, key), card.classes)
        _write_patch(tree, key, field, card, simulation.rng_of(seed, key, "sensors"))
        _write_spot(tree, key, field, (west, north))
        features.append(_feature(key, fold, (west, north)))
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}}
    content = {"type": "FeatureCollection", "crs": crs, "features": features}
    (tree / "metadata.geojson").write_text(json.dumps(content), encoding="utf-8")
    simulation.write_marker(root, card.name, seed)


def _field(rng: np.random.Generator, classes: tuple[str, ...]) -> Field:
    """Draw parcels around random centres, with rows that are independent of the crop."""
    c = Canvas(rng, (SIDE * FINER, SIDE * FINER), "grass")
    centres = np.asarray(scatter(c, 12, 60))
    y, x = np.mgrid[: c.shape[0], : c.shape[1]]
    parcels = np.hypot(x - centres[:, 0, None, None], y - centres[:, 1, None, None]).argmin(0)
    kinds = rng.permutation(np.resize((*CROPS, "background"), len(centres)))
    rows = texture(rng, c.shape, 12.0, rng.uniform(0, np.pi), spread=0.1)
    for parcel, kind in enumerate(kinds):
        material = c.any(("concrete", "canopy", "asphalt")) if kind == "background" else "grass"
        grain = np.round(rng.uniform(-0.25, 0.25) + 0.1 * np.sign(rows), 2)
        c.paint(parcels == parcel, material, np.asarray(grain, np.float32))
    ids = np.array([classes.index(kind) for kind in kinds], np.uint8)
    ids[-1] = VOID
    late = rng.uniform(-14, 14, len(centres)).astype(np.float32)
    return Field(c, parcels, ids, late)


def _vigour(field: Field, classes: tuple[str, ...], date: str) -> Floats:
    """Return the vigour of each pixel of 10 m on a date, [1, H, W]."""
    new_year = datetime.date(2019, 1, 1).toordinal()
    day = datetime.date.fromisoformat(date).toordinal() - new_year + 1
    names = [classes[i] if i < VOID else "meadow" for i in field.classes]
    kinds = ["trees" if name == "background" else name for name in names]
    each = [seasons.vigour(k, day, float(s)) for k, s in zip(kinds, field.late, strict=True)]
    return _coarse(np.asarray(each, np.float32)[field.parcels][None])


def _coarse(pixels: NDArray[np.floating[Any]]) -> Floats:
    """Average 10 x 10 pixels, [C, H, W]."""
    shape = (len(pixels), SIDE, FINER, SIDE, FINER)
    return np.asarray(pixels.reshape(shape).mean((2, 4)), np.float32)


def _write_patch(
    tree: Path, key: str, field: Field, card: DatasetCard, rng: np.random.Generator
) -> None:
    bands = {sensor.name: sensor.bands for sensor in card.sensors}["s2"]
    bare, lush = (_coarse(field.canvas.reflectance(bands, v)) for v in (0.0, 1.0))
    series = []
    for date in DATES["s2"]:
        seen = bare + _vigour(field, card.classes, date) * (lush - bare)
        hazy = seen * rng.uniform(0.85, 1.15) + 0.004 * rng.standard_normal(seen.shape)
        series.append((hazy * 1e4).round().astype(np.int16))
    _save(tree, "s2", key, np.stack(series))
    power = _coarse(10 ** (field.canvas.backscatter(("vv", "vh"), rng) / 10))
    for orbit in ("s1a", "s1d"):
        backscatter = []
        for date in DATES[orbit]:
            speckled = power * rng.gamma(12, 1 / 12, power.shape)
            green = np.array([1, 4])[:, None, None] * _vigour(field, card.classes, date)
            vv, vh = 10 * np.log10(speckled) + green
            backscatter.append(np.stack([vv, vh, vv - vh]))
        _save(tree, orbit, key, np.stack(backscatter).astype(np.float32))
    middle = (slice(FINER // 2, None, FINER),) * 2
    ids = field.classes[field.parcels[middle]]
    _save(tree, "mask", key, np.stack([ids, ids, ids]))


def _save(tree: Path, kind: str, key: str, values: NDArray[np.generic]) -> None:
    folder, name = FILES[kind]
    np.save(tree / folder / name.format(key), values)


def _write_spot(tree: Path, key: str, field: Field, northwest: tuple[float, float]) -> None:
    """Write an RGB image of June, stretched for display."""
    seen = field.canvas.reflectance(("red", "green", "blue"))
    pixels = (seen / seen.max() * 15).round().astype(np.uint8) * 17  # few levels: small files
    folder, name = FILES["hr"]
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "compress": "deflate"}
    size = {"height": SIDE * FINER, "width": SIDE * FINER}
    where = {"crs": "EPSG:2154", "transform": Affine(1, 0, northwest[0], 0, -1, northwest[1])}
    with rasterio.open(tree / folder / name.format(key), "w", **profile, **size, **where) as file:
        file.write(pixels)


def _feature(key: str, fold: int, northwest: tuple[float, float]) -> dict[str, object]:
    (west, north), width = northwest, SIDE * 10.0
    east, south = west + width, north - width
    ring = [[west, north], [east, north], [east, south], [west, south], [west, north]]
    dates = {
        f"dates-{sensor.upper()}": {str(i): int(d.replace("-", "")) for i, d in enumerate(days)}
        for sensor, days in DATES.items()
    }
    properties = {"ID_PATCH": int(key), "Fold": fold, "TILE": "t31tfm", "N_Parcel": 12, **dates}
    return {
        "type": "Feature",
        "id": key,
        "properties": properties,
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]},
    }
