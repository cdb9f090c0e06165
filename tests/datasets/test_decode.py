"""Images of all kinds: windows, sizes, damage, depth and orientation."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from skybench.core import REFLECTANCE, UINT8, DataError, Sensor

decode = importlib.import_module("skybench.datasets._readers.decode")
Window = decode.Window
RGB = Sensor("hr", ("red", "green", "blue"), 0, UINT8)
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
    assert decode.raster_size(path) == (20, 30)
    whole = decode.read_image(path, RGB)
    np.testing.assert_array_equal(whole, PIXELS.transpose(2, 0, 1))
    part = decode.read_image(path, RGB, Window(3, 5, 7, 11))
    np.testing.assert_array_equal(part, whole[:, 3:10, 5:16])


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path, window = tmp_path / "a.png", Window(0, 0, 2, 2)
    Image.fromarray(PIXELS).save(path)
    first = decode.read_image(path, RGB, window)
    Image.fromarray(255 - PIXELS).save(path)
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(decode.read_image(path, RGB, window), 255 - first)


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
            decode.read_image(path, RGB, window)
    path.unlink()
    with pytest.raises(DataError, match=rf"broken\.{suffix} cannot be read"):
        decode.read_image(path, RGB, window)


def test_bands_and_types_must_be_those_of_the_sensor(tmp_path: Path) -> None:
    path = _tif(tmp_path / "four.tif", np.full((4, 5, 6), 60000, np.uint16))
    with pytest.raises(DataError, match=r"four\.tif has 4 bands; expected 3 \(red, green, blue\)"):
        decode.read_image(path, RGB)
    bands = ("red", "green", "blue", "nir")
    with pytest.raises(DataError, match=r"holds int32 values, but the unit .* 'uint8'"):
        decode.read_image(path, Sensor("s2", bands, 10, UINT8))
    pixels = decode.read_image(path, Sensor("s2", bands, 10, REFLECTANCE))
    assert pixels.dtype == np.int32  # torch has no full support for uint16
    assert (pixels == 60000).all()


def test_deep_png_images_are_not_cut_to_8_bits(tmp_path: Path) -> None:
    """Pillow gives 1040 of 16 bits as 4."""
    path = tmp_path / "deep.png"
    deep = np.random.default_rng(0).integers(1040, 2741, (3, 8, 9)).astype(np.uint16)
    save_png(path, deep)
    with pytest.raises(DataError, match=r"deep\.png holds int32 values, but the unit .* 'uint8'"):
        decode.read_image(path, RGB)
    stored = decode.read_image(path, Sensor("hr", RGB.bands, 0, REFLECTANCE))
    np.testing.assert_array_equal(stored, deep)
    part = decode.read_image(path, Sensor("hr", RGB.bands, 0, REFLECTANCE), Window(2, 3, 4, 5))
    np.testing.assert_array_equal(part, deep[:, 2:6, 3:8])
    Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(path)
    with pytest.raises(DataError, match=r"deep\.png has 1 bands; expected 3"):
        decode.read_image(path, RGB)


def save_png(path: Path, deep: NDArray[np.uint16]) -> None:
    """Write 16 bits a channel, which Pillow does not."""
    form = {"count": len(deep), "height": deep.shape[1], "width": deep.shape[2], "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", "PNG", **form) as raster:
            raster.write(deep)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_orientation_says(tmp_path: Path, orientation: int) -> None:
    """Against the definition of the tag: where row 0 and column 0 of the stored image lie."""
    upright = PIXELS[:, :, 0]
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[decode.ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").save(path, exif=exif)
    assert decode.raster_size(path) == upright.shape
    read = decode.read_image(path, RGB)
    np.testing.assert_array_equal(read[0], upright)
    part = decode.read_image(path, RGB, Window(2, 7, 5, 11))
    np.testing.assert_array_equal(part[1], upright[2:7, 7:18])


@pytest.mark.parametrize("suffix", ["bmp", "webp", "jp2"])
def test_more_kinds_of_images_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    lossless: Any = {"webp": {"lossless": True}, "jp2": {"irreversible": False}}.get(suffix, {})
    Image.fromarray(PIXELS).save(path, **lossless)
    assert decode.raster_size(path) == (20, 30)
    np.testing.assert_array_equal(decode.read_image(path, RGB), PIXELS.transpose(2, 0, 1))
    part = decode.read_image(path, RGB, Window(3, 5, 7, 11))
    np.testing.assert_array_equal(part, PIXELS.transpose(2, 0, 1)[:, 3:10, 5:16])


def test_too_many_pixels_are_refused_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"a\.png has more pixels than are read"):
        decode.read_image(tmp_path / "a.png", RGB)


def test_a_deep_png_with_another_ending_is_not_cut(tmp_path: Path) -> None:
    deep = np.full((3, 4, 4), 1040, np.uint16)
    save_png(tmp_path / "a.jpg", deep)
    stored = decode.read_image(tmp_path / "a.jpg", Sensor("hr", RGB.bands, 0, REFLECTANCE))
    np.testing.assert_array_equal(stored, deep)


@functools.cache
def written(suffix: str) -> bytes:
    """A small file of a kind, as Pillow writes it, with an orientation where it can have one."""
    exif = Image.Exif()
    exif[decode.ORIENTATION] = 6
    more = {"exif": exif} if suffix in ("jpg", "png", "webp") else {}
    file = io.BytesIO()
    kind = {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}.get(suffix, suffix)
    Image.fromarray(PIXELS).save(file, kind, **more)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # of Pillow, on damaged tags
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(["jpg", "png", "tif", "bmp", "webp", "jp2"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=20),
    st.integers(0, 10**6),
)
def test_damaged_files_are_read_or_refused(
    suffix: str, changes: list[tuple[int, int]], end: int
) -> None:
    """Never another exception; a changed pixel cannot be seen."""
    data = bytearray(written(suffix))
    for place, value in changes:
        data[place % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a.{suffix}")
        path.write_bytes(data[: max(1, end % (2 * len(data)))])
        for read in (decode.raster_size, lambda p: decode.read_image(p, RGB)):
            with contextlib.suppress(DataError):
                read(path)


def test_threads_that_read_at_once_are_as_quiet_as_one(tmp_path: Path) -> None:
    """What warnings are shown is one setting of a whole process."""
    path = tmp_path / "plain.tif"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(lambda _: decode.raster_size(path), range(800))} == {(4, 4)}


def test_the_size_of_a_png_is_known_without_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert decode.raster_size(path) == (20, 30)  # decoding fails
    with pytest.raises(DataError, match=r"a\.png"):
        decode.read_rgb(path)


def test_tags_behind_the_pixels_of_a_png_count(tmp_path: Path) -> None:
    path, image = tmp_path / "a.png", Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[decode.ORIENTATION] = 6
    image.save(path, exif=exif)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4
    chunk = content[start : start + int.from_bytes(content[start : start + 4]) + 12]
    rest = content.replace(chunk, b"")
    end = rest.index(b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])
    assert decode.raster_size(path) == (30, 20) == decode.read_rgb(path).shape[1:]


def test_a_raster_stays_open_for_its_next_windows_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bands = np.random.default_rng(1).integers(0, 256, (1, 40, 30), np.uint8)
    paths = [_tif(tmp_path / f"{n}.tif", bands + n) for n in range(decode.OPEN + 1)]
    opened: list[Path] = []
    open_file = decode.rasterio.open

    def counted(path: Path) -> Any:
        opened.append(path)
        return open_file(path)

    def read(path: Path, y: int) -> NDArray[Any]:
        found: NDArray[Any] = decode.read_stored(path, Window(y, 5, 7, 11))
        return found

    monkeypatch.setattr(decode.rasterio, "open", counted)
    for y in (0, 3, 20):
        np.testing.assert_array_equal(read(paths[0], y), bands[:, y : y + 7, 5:16])
    assert opened == paths[:1]
    with ThreadPoolExecutor(1) as other:  # GDAL's rasters belong to one thread
        np.testing.assert_array_equal(
            other.submit(read, paths[0], 3).result(), bands[:, 3:10, 5:16]
        )
    assert opened == paths[:1] * 2
    monkeypatch.setattr(decode.rasterio, "open", open_file)
    _tif(paths[0], 255 - bands)
    monkeypatch.setattr(decode.rasterio, "open", counted)
    np.testing.assert_array_equal(read(paths[0], 3), (255 - bands)[:, 3:10, 5:16])
    for path in paths[1:]:
        read(path, 0)
    before = len(opened)
    read(paths[0], 0)  # the others took its place
    assert len(opened) == before + 1
    with pytest.raises(DataError, match="cannot be read"):
        decode.read_stored(paths[0], Window(35, 25, 99, 99), [7])
