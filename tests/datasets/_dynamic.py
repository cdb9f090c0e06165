"""DynamicEarthNet's folders with made-up pixels: for several tests."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine

from skybench.core import registry
from skybench.core.dataset import Samples

facts = importlib.import_module("skybench.datasets._readers.dynamic_facts")

CUBE, OTHER, LATER = "1311_3077_13", "1700_3100_13", "2235_3403_13"
SIDE = 16
L2A, RADAR = {"s2_bands": "l2a"}, {"s1_bands": "_,vh,vv,_,_,_,_,_"}
SERIES = {"sample": "series"}
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 6, (SIDE, SIDE))


def write_tif(
    path: Path, pixels: NDArray[Any], gsd: float = 3.0, west: float = 550_000.0, zone: int = 32610
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    where = {"crs": f"EPSG:{zone}", "transform": Affine(gsd, 0, west, 0, -gsd, 4_516_000)}
    with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, **shape, **where) as file:
        file.write(pixels)


def one_hot(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return np.where(ids == np.arange(7)[:, None, None], np.uint8(255), np.uint8(0))


def write_label(root: Path, month: str, ids: NDArray[Any] = IDS, cube: str = CUBE) -> Path:
    quad = "10N-122W-40N-L3H-SR"
    folder = root / "labels" / f"{cube}_10N" / "Labels" / "Raster" / quad
    path = folder / f"{quad}-{month.replace('-', '_')}_01.tif"
    write_tif(path, one_hot(ids))
    path.with_suffix(".tif.aux.xml").write_text("")
    return path


def write_planet(root: Path, day: str, value: int = 7, cube: str = CUBE) -> Path:
    path = root / "planet" / "10N" / "23E-188N" / cube / "PF-SR" / f"{day}.tif"
    write_tif(path, np.full((4, SIDE, SIDE), value, np.uint16))
    return path


def write_sentinel(root: Path, month: str, pixels: NDArray[Any], kind: str = "sentinel2") -> Path:
    path = root / kind / "10N" / CUBE / f"{CUBE}_{month.replace('-', '_')}.tif"
    write_tif(path, pixels, 3.0 * SIDE / pixels.shape[-1])
    return path


def numbered(count: int, side: int = SIDE) -> NDArray[Any]:
    """A band's number times 100 in each."""
    numbers = np.arange(1, count + 1)[:, None, None]
    return np.asarray(numbers * np.full((1, side, side), 100), np.uint16)


def opened(
    name: str,
    root: Path,
    options: Mapping[str, str] | None = None,
    split: str = "train",
    tile: int = 0,
) -> Samples:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(root, split, tile, **(options or {}))
    return samples


def day_of(text: str) -> int:
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days
