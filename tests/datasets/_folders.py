"""Small folders of a user's own, for the tests of their readers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from skybench.core import registry
from skybench.core.dataset import Samples

NORTH_UP = rasterio.Affine(10, 0, 500000, 0, -10, 5000000)


def opened(root: Path, split: str = "train", tile: int = 0) -> Samples:
    """Open a split of a folder."""
    samples: Samples = registry.load("datasets", "folder").open(root, split, tile)
    return samples


def described(root: Path, text: str) -> Path:
    """Write a description into a folder and return the folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "skybench.toml").write_text(text)
    return root


def put(path: Path, pixels: Any, mode: str | None = None) -> Path:
    """Write an image, [H, W] or [H, W, C], by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path)
    return path


def photo(path: Path, size: tuple[int, int] = (6, 8), value: int = 9) -> Path:
    """Write an RGB image of one colour; size: height and width."""
    return put(path, np.full((*size, 3), value, np.uint8))


def geotiff(
    path: Path, bands: NDArray[Any], where: Any = None, crs: Any = "EPSG:32632", **tags: Any
) -> Path:
    """Write a GeoTIFF, bands [C, H, W]; where: its transform, None: no georeference."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    placed = {} if where is None else {"transform": where, "crs": crs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", "GTiff", width, height, count, dtype=bands.dtype.name, **placed, **tags
        ) as raster:
            raster.write(bands)
    return path


def masked(root: Path, *masks: Any, suffix: str = "png") -> Path:
    """Write masks, [H, W] each, into train/ and test/ in turn, with images of their size."""
    for number, mask in enumerate(masks):
        array = np.asarray(mask)
        part = root / ("train" if number % 2 == 0 else "test")
        photo(part / "images" / f"{number}.png", array.shape[:2])
        if suffix == "tif":
            geotiff(part / "masks" / f"{number}.tif", np.atleast_3d(array).transpose(2, 0, 1))
        else:
            put(part / "masks" / f"{number}.{suffix}", array)
    return root
