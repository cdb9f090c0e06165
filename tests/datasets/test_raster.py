from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skybench.core import DataError

_raster = importlib.import_module("skybench.datasets._readers.raster")
Legend = _raster.Legend
Window = importlib.import_module("skybench.datasets._readers.decode").Window
RED, BLUE = (255, 0, 0), (0, 0, 255)
COLOURS = Legend(2, ((RED, 0), (BLUE, 1), ((9, 9, 9), 255)))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


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
