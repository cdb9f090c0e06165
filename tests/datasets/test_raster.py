from __future__ import annotations

import importlib
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from skybench.core import REFLECTANCE, UINT8, DataError, Sensor

_raster = importlib.import_module("skybench.datasets._readers.raster")
Legend, Window = _raster.Legend, _raster.Window
RGB = Sensor("hr", ("red", "green", "blue"), 0, UINT8)
RED, BLUE = (255, 0, 0), (0, 0, 255)
COLOURS = Legend(2, ((RED, 0), (BLUE, 1), ((9, 9, 9), 255)))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def _tif(path: Path, bands: NDArray[Any]) -> Path:
    count, height, width = bands.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", "GTiff", width, height, count, dtype=bands.dtype.name
        ) as raster:
            raster.write(bands)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_window_is_that_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path)
    assert _raster.raster_size(path) == (20, 30)
    whole = _raster.read_image(path, RGB)
    np.testing.assert_array_equal(whole, PIXELS.transpose(2, 0, 1))
    part = _raster.read_image(path, RGB, Window(3, 5, 7, 11))
    np.testing.assert_array_equal(part, whole[:, 3:10, 5:16])


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path, window = tmp_path / "a.png", Window(0, 0, 2, 2)
    Image.fromarray(PIXELS).save(path)
    first = _raster.read_image(path, RGB, window)
    Image.fromarray(255 - PIXELS).save(path)
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(_raster.read_image(path, RGB, window), 255 - first)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("window", [None, Window(170, 0, 2, 2)])
def test_truncated_and_foreign_files_are_named(tmp_path: Path, suffix: str, window: Any) -> None:
    path = tmp_path / f"broken.{suffix}"
    Image.fromarray(np.tile(PIXELS, (9, 9, 1))).save(path)
    half = path.read_bytes()[: path.stat().st_size // 2]
    for data in (half, half[:20], b"<html>not found</html>", b""):
        path.write_bytes(data)
        os.utime(path, ns=(len(data), len(data)))
        with pytest.raises(DataError, match=rf"broken\.{suffix} cannot be read"):
            _raster.read_image(path, RGB, window)
    path.unlink()
    with pytest.raises(DataError, match=rf"broken\.{suffix} cannot be read"):
        _raster.read_image(path, RGB, window)


def test_bands_and_types_must_be_those_of_the_sensor(tmp_path: Path) -> None:
    path = _tif(tmp_path / "four.tif", np.full((4, 5, 6), 60000, np.uint16))
    with pytest.raises(DataError, match=r"four\.tif has 4 bands; expected 3 \(red, green, blue\)"):
        _raster.read_image(path, RGB)
    bands = ("red", "green", "blue", "nir")
    with pytest.raises(DataError, match=r"holds int32 values, but the unit .* 'uint8'"):
        _raster.read_image(path, Sensor("s2", bands, 10, UINT8))
    pixels = _raster.read_image(path, Sensor("s2", bands, 10, REFLECTANCE))
    assert pixels.dtype == np.int32  # torch has no full support for uint16
    assert (pixels == 60000).all()


def test_deep_png_images_are_refused_rather_than_cut_at_255(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png has more than 8 bits"):
        _raster.read_image(tmp_path / "deep.png", RGB)


@pytest.mark.parametrize("name", ["rgb.png", "palette.png", "rgb.tif"])
def test_colours_become_class_ids(tmp_path: Path, name: str) -> None:
    table = np.array([RED, BLUE, (9, 9, 9)], np.uint8)
    ids = np.random.default_rng(0).integers(0, 3, (8, 9))
    image = Image.fromarray(table[ids])
    if name == "palette.png":
        image = image.quantize(3)
    image.save(tmp_path / name)
    expected = np.where(ids == 2, 255, ids)
    np.testing.assert_array_equal(_raster.read_mask(tmp_path / name, COLOURS), expected)
    part = _raster.read_mask(tmp_path / name, COLOURS, Window(1, 2, 3, 4))
    np.testing.assert_array_equal(part, expected[1:4, 2:6])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_an_unknown_colour_is_named_and_counted(tmp_path: Path, suffix: str) -> None:
    pixels = np.full((6, 6, 3), RED, np.uint8)
    pixels[:2] = (1, 2, 3)
    pixels[2, 0] = (250, 0, 0)
    Image.fromarray(pixels).save(tmp_path / f"m.{suffix}")
    with pytest.raises(
        DataError,
        match=rf"m\.{suffix} holds .*: \(1, 2, 3\) \(12 pixels\), \(250, 0, 0\) \(1 pixels\)",
    ):
        _raster.read_mask(tmp_path / f"m.{suffix}", COLOURS)


def test_a_tolerance_takes_near_colours_and_no_others(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 3), (250, 4, 3), np.uint8)
    pixels[0] = (5, 5, 250)
    Image.fromarray(pixels).save(tmp_path / "near.png")
    lenient = Legend(2, COLOURS.colours, tolerance=5)
    np.testing.assert_array_equal(
        _raster.read_mask(tmp_path / "near.png", lenient)[:, 0], [1, 0, 0, 0]
    )
    with pytest.raises(DataError, match=r"\(250, 4, 3\)"):
        _raster.read_mask(tmp_path / "near.png", Legend(2, COLOURS.colours, tolerance=4))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_stored_ids_are_checked_against_the_classes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ids.{suffix}"
    ids = np.array([[0, 1, 2], [255, 9, 1]], np.uint8)
    Image.fromarray(ids).save(path)
    read = _raster.read_mask(path, Legend(3, ignored=(9,)))
    np.testing.assert_array_equal(read, [[0, 1, 2], [255, 255, 1]])
    with pytest.raises(DataError, match=r"the class ids 2 \(1 pixels\), 9 \(1 pixels\); expected"):
        _raster.read_mask(path, Legend(2))


def test_a_coloured_mask_without_a_table_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "m.png")
    with pytest.raises(DataError, match="3 bands and no colour table"):
        _raster.read_mask(tmp_path / "m.png", Legend(3))


def test_threads_that_read_at_once_are_as_quiet_as_one(tmp_path: Path) -> None:
    """What warnings are shown is one setting of a whole process."""
    path = tmp_path / "plain.tif"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(lambda _: _raster.raster_size(path), range(800))} == {(4, 4)}
