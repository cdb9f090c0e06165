"""A user's own images of every kind: put right and told, or refused with what to do."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from skybench.core import DB, REFLECTANCE, UINT8, DataError
from skybench.core.sensors import L1C, L2A

own_images = importlib.import_module("skybench.datasets._readers.own_images")
own_notes = importlib.import_module("skybench.datasets._readers.own_notes")
own_sensors = importlib.import_module("skybench.datasets._readers.own_sensors")
Window = importlib.import_module("skybench.datasets._readers.decode").Window
RGB = own_sensors.RGB
S2 = replace(RGB, unit=REFLECTANCE)
PIXELS = np.random.default_rng(0).integers(1, 255, (3, 20, 30)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(1040, 2741, (3, 20, 30)).astype(np.uint16)


def write(path: Path, pixels: NDArray[Any], kind: str = "GTiff", **more: Any) -> Path:
    """Write bands; more: of `rasterio.open`, or attributes to be set, as colorinterp."""
    given = {"colorinterp", "scales", "offsets", "descriptions"} & {*more}
    attributes = {name: more.pop(name) for name in given}
    palette = more.pop("palette", None)
    count, height, width = pixels.shape
    form = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", kind, **form, **more) as raster:
            raster.write(pixels)
            for name, value in attributes.items():
                setattr(raster, name, value)
            if palette:
                raster.write_colormap(1, palette)
    return path


def read(path: Path, sensor: Any = RGB, window: Any = None) -> NDArray[Any]:
    pixels: NDArray[Any] = own_images.read_any(path, sensor, window)
    return pixels


def notes(path: Path, sensor: Any = RGB) -> str:
    return "; ".join(own_notes.notes_of([path], sensor))


@pytest.mark.parametrize("kind", ["PNG", "GTiff"])
def test_16_bits_are_read_as_they_are_or_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind[-3:].lower()[:3].replace('iff', 'tif')}", DEEP, kind)
    np.testing.assert_array_equal(read(path, S2), DEEP)
    np.testing.assert_array_equal(read(path, S2, Window(3, 5, 7, 9)), DEEP[:, 3:10, 5:14])
    expected = r"uint16 values, \d+ to \d+; expected uint8.*\n\[sensor\]\nbands = .*\nunit = "
    with pytest.raises(DataError, match=expected):
        read(path)


ALPHA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def test_alpha_is_left_out_where_the_file_calls_it_alpha(tmp_path: Path) -> None:
    four = np.concatenate([PIXELS, PIXELS[:1]])
    path = write(tmp_path / "a.tif", four, colorinterp=ALPHA)
    np.testing.assert_array_equal(read(path), PIXELS)
    assert "the alpha channel is left out (in 1 of 1 images looked at, as a.tif)" in notes(path)
    nir = replace(RGB, bands=("red", "green", "blue", "nir"))
    np.testing.assert_array_equal(read(path, nir), four)  # GDAL calls any fourth band alpha
    Image.fromarray(four.transpose(1, 2, 0).copy(), "RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png"), PIXELS)
    assert "alpha" in notes(tmp_path / "a.png")
    palette = Image.fromarray(PIXELS.transpose(1, 2, 0).copy()).quantize(9)
    colours = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    palette.save(tmp_path / "p.png", transparency=bytes([0, 128, 255]))
    np.testing.assert_array_equal(read(tmp_path / "p.png"), colours)
    assert "alpha" in notes(tmp_path / "p.png")
    other = write(tmp_path / "b.tif", four, photometric="RGB", alpha="NO")
    with pytest.raises(DataError, match=r"4 bands \(red, green, blue, undefined\).* bands = \["):
        read(other)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "la.png"])
def test_grey_is_repeated_for_rgb_and_told(tmp_path: Path, name: str) -> None:
    path, mode = tmp_path / name, "LA" if name == "la.png" else "L"
    Image.fromarray(np.full((8, 9), 77, np.uint8)).convert(mode).save(path)
    assert (read(path) == 77).all()
    assert read(path).shape == (3, 8, 9)
    assert "grey is repeated for red, green and blue" in notes(path)
    one = replace(RGB, bands=("pan",))
    assert read(path, one).shape == (1, 8, 9)


def test_colours_for_one_band_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS.transpose(1, 2, 0).copy()).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is in colours, but its sensor has one band"):
        read(tmp_path / "a.png", replace(RGB, bands=("pan",)))


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 3, (1, 8, 9)).astype(np.uint8)
    colours = np.array([(200, 10, 3), (0, 0, 255), (9, 8, 7)], np.uint8)
    palette = {i: (*map(int, colour), 255) for i, colour in enumerate(colours)}
    path = write(tmp_path / "a.tif", indices, palette=palette, photometric="palette")
    expected = colours[indices[0]].transpose(2, 0, 1)
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_array_equal(read(path, RGB, Window(1, 2, 3, 4)), expected[:, 1:4, 2:6])


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_colours_for_printing_are_refused(tmp_path: Path, name: str) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / name)
    with pytest.raises(DataError, match=r"has CMYK or other colours"):
        read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["png", "webp", "mpo"])
def test_animations_are_refused_and_previews_of_cameras_are_not(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    pages = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (10, 200)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    if suffix == "mpo":
        assert read(path.rename(tmp_path / "a.jpg")).shape == (3, 8, 8)
    else:
        with pytest.raises(DataError, match=rf"a\.{suffix} is animated; .* save each as a file"):
            read(path)


@pytest.mark.parametrize(
    ("unit", "scale", "offset", "factor", "shift"),
    [
        (REFLECTANCE, 0.0001, -0.1, 1.0, -1000.0),  # of 0 to 1
        (REFLECTANCE, 2.75e-5, -0.2, 0.275, -2000.0),  # Landsat, collection 2
        (REFLECTANCE, 1.0, -1000.0, 1.0, -1000.0),
        (DB, 0.01, -50.0, 0.01, -50.0),
    ],
)
def test_tags_of_scale_and_offset_are_applied_and_told(
    tmp_path: Path, unit: str, scale: float, offset: float, factor: float, shift: float
) -> None:
    path = write(tmp_path / "a.tif", DEEP, scales=(scale,) * 3, offsets=(offset,) * 3)
    sensor = replace(RGB, unit=unit)
    np.testing.assert_allclose(read(path, sensor), DEEP * factor + shift, rtol=1e-5, atol=1e-3)
    assert f"tags of scale {scale:g} and offset {offset:g} are applied" in notes(path, sensor)
    stated = replace(sensor, scale=2.0, offset=7.0)
    np.testing.assert_allclose(read(path, stated), DEEP * 2.0 + 7, rtol=1e-6)
    assert "are not used" in notes(path, stated)


def test_tags_that_do_not_lead_to_the_unit_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", DEEP, scales=(0.05,) * 3)
    with pytest.raises(DataError, match=r"the tags scale 0\.05 and offset 0, .* scale = 1\.0"):
        read(path, S2)
    np.testing.assert_array_equal(read(path, replace(S2, scale=1.0)), DEEP)
    Image.fromarray(PIXELS.transpose(1, 2, 0).copy()).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png", replace(RGB, offset=-1.0)) == PIXELS - 1.0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("nodata", [None, np.nan])
def test_a_file_with_nan_is_named(tmp_path: Path, value: float, nodata: float | None) -> None:
    pixels = DEEP.astype(np.float32)
    pixels[1, 3, 4] = value
    path = write(tmp_path / "hole.tif", pixels, nodata=nodata)
    with pytest.raises(DataError, match=r"hole\.tif has 1 pixels that are NaN or infinite.* fill"):
        read(path, S2)
    filled = read(path, replace(S2, fill=-1.0))
    assert "NaN and infinite pixels, if any, are read as -1" in notes(path, replace(S2, fill=-1.0))
    assert filled[1, 3, 4] == -1
    assert np.delete(filled.ravel(), 600 + 3 * 30 + 4).min() >= 1040


def test_nodata_is_read_as_0_and_told(tmp_path: Path) -> None:
    pixels = DEEP.copy()
    pixels[:, 0, :5] = 65535
    path = write(tmp_path / "a.tif", pixels, nodata=65535)
    assert (read(path, S2)[:, 0, :5] == 0).all()
    np.testing.assert_array_equal(read(path, S2)[:, 1:], DEEP[:, 1:])
    assert "nodata, 65535, is read as 0" in notes(path, S2)
    assert (read(path, replace(S2, offset=-1000.0))[:, 0, :5] == 0).all()
    assert (read(path, replace(S2, fill=-0.5))[:, 0, :5] == -0.5).all()
    white = np.full((3, 4, 4), 255, np.uint8)
    white[0, 1:] = 9  # of 8 bits, a bright value in one band is no hole
    found = read(write(tmp_path / "b.tif", white, nodata=255))
    assert (found[:, 0] == 0).all()
    assert (found[1:, 1:] == 255).all()


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("B02", "B03", "B04"), ("red", "green", "blue")),
        (("Blue", "Green", "Red"), ("red", "green", "blue")),
        (("B1", "B10", "B11", "B12", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9"), L1C),
        (("band 2", "band 1"), ("coastal", "blue")),
    ],
)
def test_bands_named_in_another_order_are_refused(
    tmp_path: Path, names: Sequence[str], bands: tuple[str, ...]
) -> None:
    sensor = replace(S2, bands=bands)
    pixels = np.ones((len(bands), 4, 4), np.uint16)
    path = write(tmp_path / "a.tif", pixels, descriptions=names)
    with pytest.raises(DataError, match=r"a\.tif says that its bands are .* State bands = \["):
        read(path, sensor)
    for right in (("x", *names[1:]), ()):
        if right:
            write(tmp_path / "a.tif", pixels, descriptions=right)
        else:
            write(tmp_path / "a.tif", pixels)
        assert read(path, sensor).shape == pixels.shape


def test_bands_named_in_the_same_order_are_read(tmp_path: Path) -> None:
    names = [f"B{n}" for n in ("01", "02", "03", "04", "05", "06", "07", "08", "8A", "09", "11")]
    pixels = np.ones((12, 4, 4), np.uint16)
    path = write(tmp_path / "a.tif", pixels, descriptions=[*names, "B12"])
    assert read(path, replace(S2, bands=L2A)).shape == pixels.shape
    kinds = [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    path = write(tmp_path / "b.tif", PIXELS, colorinterp=kinds)
    with pytest.raises(DataError, match="its bands are blue, green, red, in this order"):
        read(path)


def test_a_turned_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS.transpose(1, 2, 0).copy()).save(path, tiffinfo={274: 3})
    with pytest.raises(DataError, match=r"a\.tif is stored turned \(orientation 3\)"):
        read(path)


def test_a_turned_jpeg_is_turned_and_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (9, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").shape == (3, 9, 8)
    assert "turned as the EXIF orientation says" in notes(tmp_path / "a.jpg")
    Image.new("RGB", (9, 8)).save(tmp_path / "b.jpg")
    assert notes(tmp_path / "b.jpg") == ""


def test_a_file_of_several_images_is_refused(tmp_path: Path) -> None:
    page = Image.fromarray(PIXELS.transpose(1, 2, 0).copy())
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    with pytest.raises(DataError, match=r"a\.tif holds 3 images \(pages\)"):
        read(tmp_path / "a.tif")


def test_complex_numbers_are_refused_and_large_ones_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "slc.tif", DEEP.astype(np.complex64))
    with pytest.raises(DataError, match=r"slc\.tif holds complex numbers"):
        read(path, S2)
    large = DEEP.astype(np.uint32) + 3_000_000_000
    found = read(write(tmp_path / "large.tif", large), S2)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, large)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    stn.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
        st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    ),
    st.sampled_from([UINT8, REFLECTANCE, DB]),
    st.sampled_from([None, 0.0, -9999.0]),
    st.sampled_from([1.0, 1e-4, 0.1]),
    st.sampled_from([None, 3.0]),
)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # arithmetic on huge floats
def test_any_raster_gives_finite_pixels_or_a_reason(
    pixels: NDArray[Any], unit: str, nodata: float | None, scale: float, fill: float | None
) -> None:
    fits = nodata is None or np.can_cast(np.min_scalar_type(int(nodata)), pixels.dtype)
    with tempfile.TemporaryDirectory() as folder:
        scales = (scale,) * len(pixels)
        path = write(Path(folder, "a.tif"), pixels, nodata=nodata if fits else None, scales=scales)
        sensor = replace(RGB, unit=unit, fill=fill)
        with contextlib.suppress(DataError):
            found = read(path, sensor)
            assert found.shape == (3, *pixels.shape[1:])
            assert np.isfinite(found).all() or np.abs(pixels.astype(float)).max() > 1e30
            assert isinstance(notes(path, sensor), str)
