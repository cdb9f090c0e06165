"""Places and directions of images and masks."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine

from skybench.core import DataError

from ._folders import NORTH_UP, described, geotiff, opened, photo, put

_grids = importlib.import_module("skybench.datasets._readers.grids")
_decode = importlib.import_module("skybench.datasets._readers.decode")
TWO = 'classes = ["ground", "building"]\n'
HEIGHT, WIDTH = 6, 8
SOUTH_UP = Affine(10, 0, 500000, 0, 10, 5000000 - 10 * HEIGHT)
MIRRORED = Affine(-10, 0, 500000 + 10 * WIDTH, 0, -10, 5000000)


def scene(root: Path, image_at: Any, mask_at: Any, crs: Any = "EPSG:32632") -> Path:
    """A building in the north-west corner, bright on the image, in train/ and test/."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[:2, :3] = 1
    for part in ("train", "test"):
        stored = [_stored(ids, where) for where in (image_at, mask_at)]
        bands = np.stack([100 * stored[0]] * 3)
        geotiff(root / part / "images" / "a.tif", bands, image_at)
        geotiff(root / part / "masks" / "a.tif", stored[1][None], mask_at, crs)
    return described(root, TWO)


def _stored(ids: Any, where: Affine | None) -> Any:
    if where is None:
        return ids
    return ids[:: -1 if where.e > 0 else 1, :: -1 if where.a < 0 else 1]


@pytest.mark.parametrize("image_at", [NORTH_UP, SOUTH_UP, MIRRORED])
@pytest.mark.parametrize("mask_at", [NORTH_UP, SOUTH_UP, MIRRORED])
@pytest.mark.parametrize("tile", [0, 4])
def test_a_mask_lies_on_its_image_in_every_direction(
    tmp_path: Path, image_at: Affine, mask_at: Affine, tile: int
) -> None:
    samples = opened(scene(tmp_path, image_at, mask_at), "train", tile)
    assert sum(int((s.target == 1).sum()) for s in samples) == 6
    for sample in samples:
        inside = sample.target != 255
        bright = sample.images["hr"][0, 0][inside] == 100
        assert bright.equal(sample.target[inside] == 1)
    turned = [note for note in samples.notes if "another direction" in note]
    assert bool(turned) == (image_at != mask_at)


@pytest.mark.parametrize(
    ("shift", "fits"), [((0, 0), True), ((5, -5), True), ((10, 0), False), ((1e6, 0), False)]
)
def test_a_mask_of_another_place_is_refused_with_both_names(
    tmp_path: Path, shift: tuple[float, float], fits: bool
) -> None:
    where = Affine(10, 0, 500000 + shift[0], 0, -10, 5000000 + shift[1])
    scene(tmp_path, NORTH_UP, where)
    if fits:
        assert len(opened(tmp_path)) == 1
        return
    with pytest.raises(DataError, match=r"masks/a\.tif does not lie on .*images/a\.tif: its upper"):
        opened(tmp_path)


def test_other_pixel_sizes_and_coordinate_systems_are_refused(tmp_path: Path) -> None:
    coarse = Affine(20, 0, 500000, 0, -20, 5000000)
    with pytest.raises(DataError, match="corners differ by up to 8 pixels"):
        opened(scene(tmp_path / "a", NORTH_UP, coarse))
    with pytest.raises(DataError, match="does not lie on"):
        opened(scene(tmp_path / "b", NORTH_UP, NORTH_UP, "EPSG:32633"))


def test_files_without_a_georeference_are_taken_to_fit(tmp_path: Path) -> None:
    samples = opened(scene(tmp_path / "a", NORTH_UP, None))
    assert int((samples[0].target == 1).sum()) == 6
    samples = opened(scene(tmp_path / "b", None, SOUTH_UP))
    assert all(map(math.isnan, samples[0].lonlat))


def test_tiles_keep_their_place(tmp_path: Path) -> None:
    for number, image_at in enumerate((NORTH_UP, SOUTH_UP)):
        samples = opened(scene(tmp_path / f"{number}", image_at, image_at), "train", 4)
        found = {key: s.lonlat for key, s in zip(samples.keys, samples, strict=True)}
        lons = {key: lon for key, (lon, _) in found.items()}
        lats = {key: lat for key, (_, lat) in found.items()}
        assert lons["train/a_0_0"] < lons["train/a_0_4"]
        assert (lats["train/a_0_0"] > lats["train/a_2_0"]) == (number == 0)
        assert lons["train/a_0_0"] == pytest.approx(9.00025, abs=2e-5)  # 20 m east of 9 degrees
        assert 45.1 < lats["train/a_0_0"] < 45.2


def test_dates_of_a_place_must_lie_on_each_other(tmp_path: Path) -> None:
    bands = np.ones((3, HEIGHT, WIDTH), np.uint8)
    for year, where in ((2019, NORTH_UP), (2020, SOUTH_UP)):
        for part in ("train", "test"):
            geotiff(tmp_path / part / "images" / "a" / f"{year}-07-15.tif", bands, where)
            put(tmp_path / part / "masks" / "a.png", np.eye(HEIGHT, WIDTH, dtype=np.uint8))
    described(tmp_path, f"change = true\n{TWO}")
    with pytest.raises(
        DataError, match=r"2020-07-15\.tif lies in another direction .* than .*2019"
    ):
        opened(tmp_path)
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a" / "2020-07-15.tif", (HEIGHT, WIDTH + 1))
    with pytest.raises(DataError, match=r"2020-07-15\.tif is 6 x 9 pixels"):
        opened(tmp_path)


@given(st.data())
def test_a_turned_window_of_a_turned_raster_is_the_same_part(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, 9)) for _ in "hw")
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = _decode.Window(
        y, x, data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x))
    )
    flip = _grids.Flip(data.draw(st.booleans()), data.draw(st.booleans()))
    pixels = np.arange(height * width).reshape(1, height, width)
    other = flip.turn(pixels)
    part = flip.turn(_decode.cut(other, flip.window(window, (height, width))))
    np.testing.assert_array_equal(part, _decode.cut(pixels, window))


def test_images_of_a_class_keep_their_place_too(tmp_path: Path) -> None:
    for part in ("train", "test"):
        geotiff(tmp_path / part / "town" / "a.tif", np.ones((3, 6, 8), np.uint8), NORTH_UP)
        photo(tmp_path / part / "town" / "b.png")
    placed, unplaced = opened(tmp_path)
    assert placed.lonlat == pytest.approx((9.0005, 45.1532), abs=1e-3)
    assert all(map(math.isnan, unplaced.lonlat))
