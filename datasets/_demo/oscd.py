"""The simulated copy of OSCD."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from .._readers import decode
from .._readers.oscd import BANDS
from . import growth


def write_city(folder: Path, labels: Path, shape: tuple[int, int], rng: Generator) -> None:
    """Write a simulated city: resampled bands, bands at native resolution, dates, label."""
    town = growth.grow_town(rng, shape, (9, 18))
    labels.mkdir(parents=True, exist_ok=True)
    Image.fromarray(town.changed * 255).save(labels / "cm.png")
    for number, canvas in ((1, town.before), (2, town.after)):
        rect, own = folder / f"imgs_{number}_rect", folder / f"imgs_{number}"
        for place in (rect, own):
            place.mkdir(parents=True, exist_ok=True)
        haze = np.linspace(0.09, 0.0, len(BANDS), dtype=np.float32)[:, None, None]
        seen = canvas.reflectance(tuple(BANDS)) * rng.uniform(0.9, 1.1) + haze
        seen += 0.002 * rng.standard_normal(seen.shape, np.float32)
        for (name, code), band in zip(BANDS.items(), seen, strict=True):
            pixels = 10 * (band.clip(0) * 1e3).round().astype(np.uint16)  # packs better
            step = 1 if name in ("blue", "green", "red", "nir") else 2
            step = 6 if name in ("coastal", "nir09", "cirrus") else step
            _save(rect / f"{code}.tif", pixels)
            _save(
                own / f"S2A_OPER_MSI_L1C_TL_SIMU__{number}_T31UDQ_{code}.tif",
                pixels[::step, ::step],
            )
    (folder / "dates.txt").write_text("date_1: 20160315\ndate_2: 20170829\n", encoding="utf-8")


def write_place(folder: Path, west: float, south: float) -> None:
    """Write the geojson of a simulated city; some cities of the release have none."""
    east, north = west + 0.02, south + 0.01
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]}}
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    (folder / f"{folder.name}.geojson").write_text(text, encoding="utf-8")


def _save(path: Path, pixels: decode.Array) -> None:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, compression="tiff_adobe_deflate")
