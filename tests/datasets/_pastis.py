"""A small PASTIS-R and PASTIS-HD, and their reader."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from skybench.core import registry
from skybench.core.dataset import Samples

pastis = registry.load("datasets", "pastis_mm")

SIDE = 8
DATES = {
    "S2": (20181014, 20181117, 20190713, 20190802),
    "S1A": (20181001, 20190720),
    "S1D": (20181003,),
}
RNG = np.random.default_rng(0)
CORNER = (650_000.0, 6_860_000.0)  # south-west, Lambert 93


def save(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def write(tree: Path, patches: dict[int, int]) -> None:
    """Patches by number with their folds; values say patch, sensor and date."""
    for key in patches:
        for sensor, bands in (("S2", 10), ("S1A", 3), ("S1D", 3)):
            pixels = RNG.normal(key, 100, (len(DATES[sensor]), bands, SIDE, SIDE))
            kind = np.int16 if sensor == "S2" else np.float32
            save(tree / f"DATA_{sensor}" / f"{sensor}_{key}.npy", pixels.astype(kind))
        ids = RNG.integers(0, 20, (3, SIDE, SIDE)).astype(np.uint8)
        save(tree / "ANNOTATIONS" / f"TARGET_{key}.npy", ids)
    metadata(tree, patches)


def metadata(
    tree: Path, patches: dict[int, int], dates: dict[str, Any] | None = None, **members: Any
) -> None:
    (x, y), width = CORNER, 10 * SIDE
    ring = [[x, y], [x + width, y], [x + width, y + width], [x, y + width], [x, y]]
    given = {f"dates-{s}": {str(i): d for i, d in enumerate(all_)} for s, all_ in DATES.items()}
    features = [
        {
            "type": "Feature",
            "properties": {"ID_PATCH": key, "Fold": fold, **given, **(dates or {})},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for key, fold in patches.items()
    ]
    content = {"type": "FeatureCollection", "features": features, **members}
    (tree / "metadata.geojson").write_text(json.dumps(content))


def spot(tree: Path, key: int, side: int = 10 * SIDE, west: float = CORNER[0]) -> Path:
    folder = tree / "DATA_SPOT" / "PASTIS_SPOT6_RVB_1M00_2019"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"SPOT6_RVB_1M00_2019_{key}.tif"
    pixels = RNG.integers(0, 256, (3, side, side)).astype(np.uint8)
    where = {
        "crs": "EPSG:2154",
        "transform": rasterio.Affine(1, 0, west, 0, -1, CORNER[1] + 10 * SIDE),
    }
    size = {"count": 3, "height": side, "width": side}
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **size, **where) as file:
        file.write(pixels)
    return path


def opened(root: Path, split: str = "train", tile: int = 0, **options: str) -> Samples:
    samples: Samples = pastis.open(root, split, tile, **options)
    return samples


def days_of(*dates: int) -> list[int]:
    epoch = datetime.date(1970, 1, 1)
    return [(datetime.date.fromisoformat(str(date)) - epoch).days for date in dates]
