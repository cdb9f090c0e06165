"""fmow_s2: the table of places, and the images it names."""

from __future__ import annotations

import csv
import importlib
import math
import pickle
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
import torch
from rasterio import Affine

from skybench.core import DataError, UsageError, registry
from skybench.data.split_lists import MissingFilesError

reader = importlib.import_module("skybench.datasets._readers.fmow")
HEADER = ["category", "location_id", "image_id", "timestamp", "polygon"]
WHEN = "2016-03-12T10:11:12Z"
WHERE = "POLYGON ((12.5 41.5, 12.7 41.5, 12.7 41.9, 12.5 41.9, 12.5 41.5))"
DAY = (date(2016, 3, 12) - date(1970, 1, 1)).days


@pytest.fixture
def fmow() -> ModuleType:
    return registry.load("datasets", "fmow_s2")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fmow") / "fmow_s2"
    registry.load("datasets", "fmow_s2").write_demo(root, 0)
    return root


def _image(
    root: Path, name: str, part: str = "train", bands: int = 13, dtype: str = "uint16"
) -> Path:
    """An image of 5 x 4 pixels whose values tell its bands apart."""
    place = name.rsplit("_", 1)[0]
    path = root / "fmow-sentinel" / part / place.rsplit("_", 1)[0] / place / f"{name}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "dtype": dtype, "count": bands, "height": 5, "width": 4}
    where = Affine(1e-4, 0.0, 12.5, 0.0, -1e-4, 41.9)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=where, **profile) as tif:
        tif.write(1000 * np.arange(bands)[:, None, None] + np.arange(20).reshape(5, 4))
    return path


def _table(path: Path, rows: list[list[object]], header: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header or HEADER, *rows])
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three real-looking images of two places."""
    root = tmp_path / "fmow_s2"
    for name in ("airport_0_6", "multi-unit_residential_12_0", "multi-unit_residential_12_100"):
        _image(root, name)
    rows: list[list[object]] = [
        ["multi-unit_residential", 12, 0, "2016-03-12T10:11:12.345678Z", WHERE],
        ["airport", 0, 6, WHEN, WHERE],
        ["multi-unit_residential", 12, 100, WHEN, WHERE],
    ]
    _table(root / "train.csv", rows)
    return root


def test_there_are_62_classes_in_the_order_of_satmae(fmow: ModuleType) -> None:
    assert len(fmow.CLASSES) == len(set(fmow.CLASSES)) == 62
    assert list(fmow.CLASSES) == sorted(fmow.CLASSES)
    assert (fmow.CLASSES[0], fmow.CLASSES[30], fmow.CLASSES[-1]) == (
        *("airport", "multi-unit_residential", "zoo"),
    )
    assert "false_detection" not in fmow.CLASSES
    assert sum(fmow.CARD.splits.values()) == 882_779


def test_images_are_found_by_category_place_and_number(root: Path, fmow: ModuleType) -> None:
    samples = fmow.open(root, "train")
    assert samples.keys == (
        "train/multi-unit_residential_12_0",
        "train/airport_0_6",
        "train/multi-unit_residential_12_100",
    )
    assert samples.labels == (30, 0, 30)
    assert samples.split.source == "official list: train.csv of fMoW-Sentinel"
    assert not samples.split.demo
    sample = samples[0]
    with rasterio.open(samples.image(0)) as tif:
        np.testing.assert_array_equal(sample.images["s2"][0], tif.read())
    assert sample.images["s2"].dtype == torch.int32
    assert sample.target == 30
    assert sample.days["s2"].tolist() == [DAY]
    assert sample.lonlat == pytest.approx((12.6, 41.7))
    assert samples[1].days["s2"].tolist() == [DAY]


def test_satmae_leaves_three_bands_out(root: Path, fmow: ModuleType) -> None:
    samples = fmow.open(root, "train", dropped="satmae")
    (sensor,) = samples.card.sensors
    assert sensor.bands == (
        *("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08"),
        *("swir16", "swir22"),
    )
    left = samples[0].images["s2"][0, :, 0, 0].tolist()
    assert left == [1000 * band for band in range(13) if band not in (0, 9, 10)]
    with pytest.raises(UsageError, match="Known: none, satmae"):
        fmow.open(root, "train", dropped="all")


def test_a_table_in_another_order_without_polygons_is_read(root: Path, fmow: ModuleType) -> None:
    """As the copies that SatMAE hands round, saved by some editor, beside the folders."""
    (root / "train.csv").unlink()
    header = ["", "image_path", "timestamp", "image_id", "category", "location_id"]
    path = _table(
        root / "fmow-sentinel" / "train.csv",
        [[0, "wrong.tif", WHEN, 6, "airport", 0]],
        header,
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().removeprefix(b","))
    lines = path.read_text(encoding="utf-8-sig").replace("0,wrong", "wrong")
    path.write_text(lines, encoding="utf-8-sig")
    (sample,) = fmow.open(root, "train")
    assert sample.key == "train/airport_0_6"
    assert sample.days["s2"].tolist() == [DAY]
    assert all(math.isnan(x) for x in sample.lonlat)


def test_places_of_different_splits_have_different_keys(root: Path, fmow: ModuleType) -> None:
    for part in ("val", "test_gt"):
        _image(root, "airport_0_6", part)
        _table(root / f"{part}.csv", [["airport", 0, 6, WHEN, WHERE]])
    keys = {fmow.open(root, split).keys[-1] for split in ("val", "test", "test_gt")}
    assert keys == {"val/airport_0_6", "test_gt/airport_0_6"}


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        (["lawn", 0, 6, WHEN, WHERE], HEADER, "line 2 .*'lawn'.*one of the 62 categories"),
        (["airport", "x", 6, WHEN, WHERE], HEADER, "line 2 .*'x'"),
        (["airport", 0], HEADER, "line 2"),
        (["airport", 0, 6], ["category", "location_id", "number"], "line 1 .*image_id"),
    ],
)
def test_a_table_that_cannot_be_meant_is_named(
    row: list[object], header: list[str], message: str, root: Path, fmow: ModuleType
) -> None:
    _table(root / "train.csv", [row], header)
    with pytest.raises(DataError, match=rf"train\.csv cannot be read at {message}"):
        fmow.open(root, "train")


def test_a_table_without_rows_is_named(root: Path, fmow: ModuleType) -> None:
    _table(root / "train.csv", [[], []])
    with pytest.raises(DataError, match=r"train\.csv names no image"):
        fmow.open(root, "train")


def test_a_row_that_comes_twice_is_named(root: Path, fmow: ModuleType) -> None:
    row: list[object] = ["airport", 0, 6, WHEN, WHERE]
    _table(root / "train.csv", [row, row])
    with pytest.raises(DataError, match="names train/airport_0_6 twice"):
        fmow.open(root, "train")


@pytest.mark.parametrize(
    ("when", "where"),
    [
        ("2016-13-12T10:11:12Z", WHERE),
        ("", WHERE),
        (WHEN, "POLYGON ((12.5 41.5, 12.7"),
        (WHEN, "POLYGON EMPTY"),
    ],
)
def test_a_bad_date_or_polygon_is_named(
    when: str, where: str, root: Path, fmow: ModuleType
) -> None:
    _table(root / "train.csv", [["airport", 0, 6, when, where]])
    samples = fmow.open(root, "train")
    with pytest.raises(DataError, match=r"train\.csv has no date .* of train/airport_0_6"):
        samples[0]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _as_failed_download(path: Path) -> None:
    _image(path.parents[4], path.stem, bands=1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "cannot be read"),
        (_cut, "cannot be read"),
        (_as_failed_download, "has 1 bands; expected 13"),
    ],
)
def test_a_damaged_image_is_named(
    damage: Callable[[Path], None], message: str, root: Path, fmow: ModuleType
) -> None:
    samples = fmow.open(root, "train")
    damage(samples.image(1))
    with pytest.raises(DataError, match=rf"airport_0_6\.tif {message}"):
        samples[1]


def test_missing_images_are_looked_for_among_some(
    root: Path, fmow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "fmow-sentinel/train/airport/airport_0/airport_0_6.tif"
    path.unlink()
    with pytest.raises(MissingFilesError) as error:
        fmow.open(root, "train")
    assert error.value.files == (path.relative_to(root).as_posix(),)
    monkeypatch.setattr(reader, "LOOKED_FOR", 1)
    assert [file.name for file in fmow.open(root, "train").files] == [
        "train.csv",
        "multi-unit_residential_12_0.tif",
    ]


def test_a_missing_table_is_named(root: Path, fmow: ModuleType) -> None:
    with pytest.raises(DataError, match=r"there is no val\.csv"):
        fmow.open(root, "val")


def test_the_demo_has_eight_classes_and_images_of_many_sizes(
    written: Path, fmow: ModuleType
) -> None:
    sizes, counts = set(), {}
    for split in fmow.CARD.splits:
        samples = fmow.open(written, split)
        counts[split] = len(samples)
        assert samples.split.demo
        assert len(samples.card.classes) == 8
        assert set(samples.labels) == set(range(8))
        sizes |= {tuple(sample.images["s2"].shape[-2:]) for sample in samples}
    assert counts == {"train": 48, "val": 32, "test": 24}
    assert len(sizes) > 20


def test_an_opened_split_pickles_without_its_polygons(written: Path, fmow: ModuleType) -> None:
    samples = fmow.open(written, "train", dropped="satmae")
    data = pickle.dumps(samples)
    assert b"POLYGON" not in data
    copy = pickle.loads(data)
    assert torch.equal(copy[5].images["s2"], samples[5].images["s2"])
    assert copy[5].lonlat == samples[5].lonlat
