"""Masks of a user's own folder in which a class could be lost, and those that are read."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from skybench.core import DataError

from ._folders import NORTH_UP, described, geotiff, masked, opened, photo, put

_raster = importlib.import_module("skybench.datasets._readers.raster")
TWO = 'classes = ["background", "building"]\n'
THREE = 'classes = ["a", "b", "c"]\n'
COLOURS = "[classes]\nground = [0, 0, 0]\nbuilding = [255, 0, 0]\n"


def rows(*values: Any, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    """A mask of 8 columns with one row of each value."""
    return np.repeat(np.array(values, dtype)[:, None], 8, 1)


def ids(root: Path, split: str = "train") -> list[list[int]]:
    """The values of each row of the masks, without padding."""
    samples = opened(root, split)
    return [s.target[:4, 0].tolist() for s in samples]


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [("png", np.uint8), ("bmp", np.uint8)]
    + [("tif", dtype) for dtype in (np.uint8, np.int32, np.float32)],
)
def test_masks_of_0_and_255_are_refused_with_the_colours_to_write(
    tmp_path: Path, suffix: str, dtype: Any
) -> None:
    mask = rows(0, 255, 255, 0, dtype=dtype)
    root = described(masked(tmp_path, mask, mask, suffix=suffix), TWO)
    with pytest.raises(DataError) as caught:
        opened(root)
    text = str(caught.value)
    assert f".{suffix} holds 255" in text
    toml = "[classes]\nbackground = [0, 0, 0]\nbuilding = [255, 255, 255]"
    assert toml in text
    described(root, toml)
    assert ids(root) == [[0, 1, 1, 0]]
    described(root, "[classes]\nbackground = 0\nbuilding = 255\n")
    assert ids(root) == [[0, 1, 1, 0]]
    described(root, f"{TWO}ignore = [255]\n")
    assert ids(root) == [[0, 255, 255, 0]]
    assert "class 'building' has no pixel in the masks of train" in opened(root).notes


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (THREE, (0, 255)),  # three declared, two there
        (THREE, (0, 1, 255)),  # 255 in the place of the last
        (THREE, (1, 2, 255)),  # and of the first
        (TWO, (1, 255)),
        ('classes = ["one"]\n', (0, 255)),
    ],
)
def test_a_class_that_255_may_stand_for_is_asked_about(
    tmp_path: Path, text: str, values: tuple[int, ...]
) -> None:
    root = described(masked(tmp_path, rows(*values), rows(*values)), text)
    with pytest.raises(DataError, match=r"holds 255, .*\n\[classes\]\n(.*\n)*ignore = \[255\]"):
        opened(root)
    described(root, f"{text}ignore = [255]\n")
    assert len(opened(root)) == 1


@pytest.mark.parametrize(
    ("text", "values"),
    [(TWO, (0, 1, 255)), (THREE, (0, 1, 2, 255)), (TWO, (0, 1)), ('classes = ["one"]\n', (0, 0))],
)
def test_255_beside_all_classes_has_no_label(
    tmp_path: Path, text: str, values: tuple[int, ...]
) -> None:
    root = described(masked(tmp_path, rows(*values), rows(*values)), text)
    assert ids(root)[0][: len(values)] == list(values)
    assert not [note for note in opened(root).notes if "has no pixel" in note]


def test_a_split_or_a_part_of_the_masks_in_another_form_is_found(tmp_path: Path) -> None:
    root = described(masked(tmp_path / "a", rows(0, 1), rows(0, 255)), TWO)
    assert len(opened(root)) == 1
    with pytest.raises(DataError, match=r"1\.png holds 255"):
        opened(root, "test")
    mixed = [rows(0, 1), rows(0, 1), rows(0, 255), rows(0, 1), rows(0, 255), rows(0, 1)]
    root = described(masked(tmp_path / "b", *mixed, rows(0, 255)), TWO)
    with pytest.raises(DataError, match="no mask with 255 holds 1"):
        opened(root)


def test_grey_values_without_a_legend_are_listed(tmp_path: Path) -> None:
    root = described(masked(tmp_path, rows(0, 128, 255), rows(0, 128, 255)), THREE)
    with pytest.raises(
        DataError, match=r"holds the class ids 128 \(8 pixels\); expected 0 to 2"
    ) as e:
        opened(root)
    toml = "[classes]\na = [0, 0, 0]\nb = [128, 128, 128]\nc = [255, 255, 255]"
    assert toml in str(e.value)
    described(root, toml)
    assert ids(root)[0][:3] == [0, 1, 2]


def test_colours_without_a_legend_are_listed(tmp_path: Path) -> None:
    mask = np.zeros((4, 8, 3), np.uint8)
    mask[:2] = (255, 0, 0)
    root = described(masked(tmp_path, mask, mask), 'classes = ["x", "bare soil"]\n')
    with pytest.raises(DataError, match="3 bands and no colour table") as caught:
        opened(root)
    toml = '[classes]\nx = [0, 0, 0]\n"bare soil" = [255, 0, 0]'
    assert toml in str(caught.value)
    described(root, toml)
    assert ids(root)[0] == [1, 1, 0, 0]


def test_numbers_of_classes_may_be_any(tmp_path: Path) -> None:
    mask = rows(10, 70000, -1, 255, dtype=np.int32)
    text = "ignore = [-1]\n[classes]\ntree = 70000\nwater = 10\n"
    root = described(masked(tmp_path, mask, mask, suffix="tif"), text)
    assert ids(root) == [[1, 0, 255, 255]]
    described(root, "[classes]\ntree = 70000\nwater = 10\n")
    with pytest.raises(DataError, match=r"class ids -1 \(8 pixels\); expected 70000, 10, or 255"):
        opened(root)


def test_nan_has_no_label_and_a_fraction_is_an_error(tmp_path: Path) -> None:
    mask = rows(0, 1, np.nan, 1, dtype=np.float32)
    root = described(masked(tmp_path / "nan", mask, mask, suffix="tif"), TWO)
    assert ids(root) == [[0, 1, 255, 1]]
    for value in (0.25, np.inf, 1e30):
        mask = rows(0, 1, value, 1, dtype=np.float32)
        root = described(masked(tmp_path / f"{value}", mask, mask, suffix="tif"), TWO)
        with pytest.raises(DataError, match=r"\.tif holds 8 values that are no class ids, as"):
            opened(root)


def test_gdals_nodata_has_no_label_unless_it_is_a_class(tmp_path: Path) -> None:
    for value, text in ((7, TWO), (0, "[classes]\na = 1\nb = 2\n"), (0, f"{THREE}ignore = [0]")):
        root = described(tmp_path / f"{value}{len(text)}", text)
        for part in ("train", "test"):
            photo(root / part / "images" / "a.png", (4, 8))
            mask = rows(value, 1, 2 if value == 0 else 0, 1)
            geotiff(root / part / "masks" / "a.tif", mask[None], NORTH_UP, nodata=value)
        assert ids(root)[0][0] == 255
        assert [n for n in opened(root).notes if "nodata" in n]
    described(root, THREE)
    with pytest.raises(DataError, match=r"a\.tif declares 0 as GDAL's nodata .*ignore = \[0\]"):
        opened(root)


@pytest.mark.parametrize("value", [-3.4028234663852886e38, -9999.0, np.nan])
def test_nodata_of_float_masks_may_be_any_number(tmp_path: Path, value: float) -> None:
    mask = rows(0, value, 1, value, dtype=np.float32)
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a.png", (4, 8))
        geotiff(tmp_path / part / "masks" / "a.tif", mask[None], nodata=value)
    assert ids(described(tmp_path, TWO)) == [[0, 255, 1, 255]]


@pytest.mark.parametrize("text", [TWO, COLOURS.replace("255, 0, 0", "1, 1, 1")])
@pytest.mark.parametrize("inside", ["YES", "NO"])
def test_pixels_outside_gdals_mask_band_have_no_label(
    tmp_path: Path, text: str, inside: str
) -> None:
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a.png", (4, 8))
        path = geotiff(tmp_path / part / "masks" / "a.tif", rows(0, 1, 1, 0)[None], NORTH_UP)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as raster:
            raster.write_mask(rows(255, 255, 0, 0))
    root = described(tmp_path, text)
    assert ids(root) == [[0, 1, 255, 255]]
    names = [path.name for path in opened(root).label_files or ()]
    assert names == (["a.tif"] if inside == "YES" else ["a.tif", "a.tif.msk"])
    assert opened(root).class_counts() == dict(zip(opened(root).card.classes, (8, 8), strict=True))


def test_several_masks_in_a_file_are_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a.png", (4, 8))
        path = put(tmp_path / part / "masks" / "a.tif", rows(0, 1, 1, 0))
        pages = [Image.fromarray(rows(*page)) for page in ((0, 1, 1, 0), (1, 0, 0, 1))]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"a\.tif holds 2 images \(pages\); expected one mask"):
        opened(described(tmp_path, TWO))


def test_a_damaged_mask_is_not_explained_by_colours(tmp_path: Path) -> None:
    root = described(masked(tmp_path, *[rows(0, 1, 1, 0)] * 4), TWO)
    (root / "train" / "masks" / "2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2\.png cannot be read .*Get this file again\.$"):
        opened(root)


@pytest.mark.parametrize("kind", ["palette", "rgb", "rgba", "grey"])
def test_tiffs_in_colours_are_read_as_png_is(tmp_path: Path, kind: str) -> None:
    table = np.array([(0, 0, 0), (255, 0, 0)], np.uint8)
    painted = table[rows(0, 1, 1, 0)]
    text = COLOURS
    if kind == "grey":
        text = COLOURS.replace("255, 0, 0", "200, 200, 200")
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a.png", (4, 8))
        path = tmp_path / part / "masks" / "a.tif"
        path.parent.mkdir()
        if kind == "palette":
            image = Image.fromarray(rows(0, 1, 1, 0), "P")
            image.putpalette(table.ravel().tolist())
            image.save(path)
        elif kind == "grey":
            put(path, rows(0, 200, 200, 0))
        else:
            alpha = np.full((4, 8, 1), 255, np.uint8)
            put(path, painted if kind == "rgb" else np.concatenate([painted, alpha], 2))
    assert ids(described(tmp_path, text)) == [[0, 1, 1, 0]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB"])
def test_ids_are_read_in_every_form_of_one_band(tmp_path: Path, mode: str) -> None:
    stored = rows(0, 1, 1, 0)
    for part in ("train", "test"):
        photo(tmp_path / part / "images" / "a.png", (4, 8))
        path = tmp_path / part / "masks" / "a.png"
        path.parent.mkdir()
        image = Image.fromarray(stored * 255 if mode == "1" else stored)
        if mode == "P":
            image = Image.fromarray(stored, "P")
            image.putpalette([9, 9, 9, 200, 0, 0])
        image.convert(mode).save(path)
    assert ids(described(tmp_path, TWO)) == [[0, 1, 1, 0]]


def test_masks_that_were_saved_as_jpeg_are_named(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 2, (32, 32)).astype(np.uint8) * 255
    for text in (TWO, "[classes]\na = [0, 0, 0]\nb = [255, 255, 255]\n"):
        root = described(masked(tmp_path, mask, mask, suffix="jpg"), text)
        with pytest.raises(DataError, match="JPEG changes"):
            opened(root)[0]


def test_masks_without_classes_get_a_description_that_works(tmp_path: Path) -> None:
    red = np.zeros((4, 8, 3), np.uint8)
    red[:2] = (255, 0, 0)
    for name, mask, toml in (
        ("ids", rows(0, 2, 1, 0), 'classes = ["class_0", "class_1", "class_2"]'),
        ("grey", rows(0, 255), "[classes]\nclass_0 = [0, 0, 0]\nclass_1 = [255, 255, 255]"),
        ("red", red, "[classes]\nclass_0 = [0, 0, 0]\nclass_1 = [255, 0, 0]"),
    ):
        root = masked(tmp_path / name, mask, mask)
        with pytest.raises(DataError, match="nothing names their classes") as caught:
            opened(root)
        assert str(caught.value).endswith(toml)
        described(root, toml)
        held = {value for value in ids(root)[0] if value != 255}
        assert max(held) == len(opened(root).card.classes) - 1


@settings(max_examples=60, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.sampled_from(["png", "tif", "bmp"]), st.data())
def test_a_damaged_mask_gives_ids_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    path = put(tmp_path_factory.getbasetemp() / f"m.{suffix}", rows(0, 1, 2, 255))
    content = bytearray(path.read_bytes()[: data.draw(st.integers(0, 2000))])
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    os.utime(path, ns=(data.draw(st.integers(1, 10**15)),) * 2)
    numbered, coloured = _raster.Legend(3, values=(0, 9, 2)), _raster.Legend(1, (((0,) * 3, 0),))
    for legend in (_raster.Legend(3), numbered, coloured):
        assert _is_read(path, legend) in (True, False)


def _is_read(path: Path, legend: Any) -> bool:
    try:
        ids = _raster.read_mask(path, legend)
    except DataError:
        return False
    assert ids.dtype == np.uint8
    assert set(np.unique(ids)) <= {*range(legend.classes), 255}
    return True
