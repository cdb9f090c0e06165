"""The short way through small TIFFs gives what GDAL gives, or goes through GDAL."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from skybench.core import DataError

tiff = importlib.import_module("skybench.datasets._readers.plain_tiff")

OPTIONS: dict[str, dict[str, Any]] = {
    "strips": {},
    "one row a strip": {"blockysize": 1},
    "packed": {"compress": "deflate"},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "big-endian": {"ENDIANNESS": "BIG"},
    "BigTIFF": {"BIGTIFF": "YES"},
}
PLAIN = ("strips", "one row a strip")


def _write(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    height, width = pixels.shape
    options |= {"dtype": pixels.dtype, "count": 1, "height": height, "width": width}
    place = Affine(10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0)
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32633", transform=place, **options
    ) as t:
        t.write(pixels, 1)
    return path


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "int16"])
def test_every_way_of_storing_is_read_alike(kind: str, dtype: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 30_000, (48, 32)).astype(dtype)
    path = _write(tmp_path / "band.tif", pixels, **OPTIONS[kind])
    band = tiff.read_band(path)
    np.testing.assert_array_equal(band.pixels, pixels)
    assert band.pixels.dtype == dtype
    assert (band.corner, band.epsg) == ((404400.0, 5342400.0), 32633)
    short = tiff._plain(path.read_bytes()) is not None
    assert short == (kind in PLAIN and dtype != "int16")


@pytest.mark.parametrize("left", [0, 3, 6, 9, 60, 200, 400, 1000, -1])
def test_a_cut_file_is_named(left: int, tmp_path: Path) -> None:
    path = _write(tmp_path / "band.tif", np.ones((48, 32), np.uint16))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(DataError, match=r"band\.tif cannot be read"):
        tiff.read_band(path)


def test_a_file_without_a_place_is_read(tmp_path: Path) -> None:
    path = tmp_path / "band.tif"
    Image.fromarray(np.ones((4, 4), np.uint16)).save(path)
    band = tiff.read_band(path)
    assert band.epsg == 0
    assert band.pixels.tolist() == [[1] * 4] * 4
