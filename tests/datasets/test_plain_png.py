"""PNG files that GDAL may read in Pillow's place; see datasets._readers.plain_png."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skybench.core import DataError

decode = importlib.import_module("skybench.datasets._readers.decode")
plain_png = importlib.import_module("skybench.datasets._readers.plain_png")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 9, (40, 30, 3), np.uint8) * 28


def saved(mode: str) -> Image.Image:
    return Image.fromarray(PIXELS).convert(mode)


def pillow(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_pixels_are_those_of_pillow(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    saved(mode).save(path)
    assert plain_png.plain_mode(path) == (mode if mode in ("RGB", "L", "P") else "")
    np.testing.assert_array_equal(decode.read_rgb(path), pillow(path))
    with decode.open_picture(path) as file:
        stored = decode.read_plain(path, file)
    if mode in ("RGB", "L", "P"):
        expected = np.asarray(saved(mode)).reshape(40, 30, -1).transpose(2, 0, 1)
        np.testing.assert_array_equal(stored, expected)
    else:
        assert stored is None


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_transparency_of_one_colour_changes_nothing(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    saved(mode).save(path, transparency=(0, 28, 56) if mode == "RGB" else 28)
    np.testing.assert_array_equal(decode.read_rgb(path), pillow(path))


def test_whatever_is_cut_or_turned_over_is_an_error_or_the_same(tmp_path: Path) -> None:
    path, made = tmp_path / "a.png", io.BytesIO()
    saved("RGB").save(made, "PNG")
    whole = made.getvalue()
    for cut in range(30, len(whole), 41):
        path.write_bytes(whole[:cut])
        assert plain_png.plain_mode(path) == ""
        with pytest.raises(DataError, match="cannot be read"):
            decode.read_rgb(path)
    for _ in range(60):
        data = bytearray(whole)
        data[RNG.integers(8, len(data))] ^= 1 << RNG.integers(0, 8)
        path.write_bytes(data)
        assert plain_png.plain_mode(path) == ""
    path.write_bytes(b"")
    assert plain_png.plain_mode(path) == ""


def test_an_image_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    path, exif = tmp_path / "a.png", Image.Exif()
    exif[decode.ORIENTATION] = 6
    saved("RGB").save(path, exif=exif)
    assert decode.read_rgb(path).shape == (3, 30, 40)
    np.testing.assert_array_equal(decode.read_rgb(path), np.rot90(PIXELS, -1).transpose(2, 0, 1))
