"""Folders of dated files as time series and as pairs, made and real."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

import skybench
from skybench.core import DataError, registry
from skybench.core.dataset import Samples

S2 = (
    "blue", "green", "red", "rededge071", "rededge075", "rededge078",
    "nir", "nir08", "swir16", "swir22",
)  # fmt: skip
PAIRS = 'classes = ["same", "changed"]\nchange = true\n'


def write(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, **form) as raster:
            raster.write(pixels)


def read(path: Path) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as raster:
            return np.asarray(raster.read())


def everything(root: Path, tile: int) -> list[Any]:
    return [s for part in ("train", "val", "test") for s in opened(root, part, tile)]


def opened(root: Path, split: str, tile: int = 0) -> Samples:
    samples: Samples = registry.load("datasets", "folder").open(root, split, tile)
    return samples


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Six pairs of 40 x 48 pixels; the second date is written first."""
    rng = np.random.default_rng(0)
    (tmp_path / "skybench.toml").write_text(PAIRS)
    for name in "abcdef":
        for date in ("20200301", "1999-12-31"):
            pixels = rng.integers(0, 256, (3, 40, 48)).astype(np.uint8)
            write(tmp_path / "images" / name / f"scene_{date}.tif", pixels)
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = rng.integers(0, 2, (40, 48)).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def test_a_folder_of_dated_files_is_one_image_with_dates_in_order(pairs: Path) -> None:
    samples = opened(pairs, "train", 32)
    sample = samples[0]
    assert sample.images["hr"].shape == (2, 3, 32, 32)
    assert sample.target.shape == (32, 32)
    days = np.array(["1999-12-31", "2020-03-01"], "datetime64[D]").astype(int)
    assert sample.days["hr"].tolist() == days.tolist()
    name = sample.key.split("_")[0]
    stored = read(pairs / "images" / name / "scene_1999-12-31.tif")
    np.testing.assert_array_equal(sample.images["hr"][0], stored[:, :32, :32])
    assert samples.card.tasks == ("change_detection",)
    places = {key.split("_")[0] for key in samples.keys}
    assert len(samples.files) == 2 * len(places)
    assert len(samples.label_files or ()) == len(places)


def test_the_edge_is_padded_in_every_date(pairs: Path) -> None:
    samples = opened(pairs, "train", 64)
    sample = samples[0]
    assert sample.images["hr"].shape == (2, 3, 64, 64)
    assert (sample.images["hr"][:, :, 40:] == 0).all()
    assert (sample.target[:, 48:] == 255).all()


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ("images/a/other_1999_12_31.tif", "same date"),
        ("images/a/x_2001-02-30.tif", "no date"),
        ("images/a/x_2001-02-03.tif", "3 dates; with change = true expected two"),
    ],
)
def test_what_is_wrong_with_a_series_is_named(pairs: Path, new: str, what: str) -> None:
    write(pairs / new, np.zeros((3, 40, 48), np.uint8))
    with pytest.raises(DataError, match=what):
        everything(pairs, 64)


def test_a_date_of_another_size_is_named(pairs: Path) -> None:
    write(pairs / "images" / "a" / "scene_20200301.tif", np.zeros((3, 30, 48), np.uint8))
    with pytest.raises(DataError, match=r"scene_20200301.tif is 30 x 48 pixels"):
        everything(pairs, 64)


def test_series_may_have_a_class_each(tmp_path: Path) -> None:
    for kind in ("wheat", "rice"):
        for number in range(5):
            for month in ("03", "06"):
                path = tmp_path / kind / f"plot{number}" / f"2019-{month}-15.tif"
                write(path, np.full((3, 8, 8), 10 * number + int(month), np.uint8))
    samples = opened(tmp_path, "train")
    assert samples.card.classes == ("rice", "wheat")
    assert {tuple(s.images["hr"].shape) for s in samples} == {(2, 3, 8, 8)}
    assert all((s.images["hr"][1] - s.images["hr"][0] == 3).all() for s in samples)


def run(folder: Path, **options: Any) -> Mapping[str, Any]:
    (record,) = skybench.run(
        options.pop("model"), options.pop("task"), dataset=f"folder:{folder}",
        results=folder.parent / "runs", **options,
    )  # fmt: skip
    assert record.status == "measured", record.traceback
    assert record.data == "real"
    return record.scores


def test_change_of_a_real_river_is_found(shared: Path, tmp_path: Path) -> None:
    """Landsat, 1985 to 2020: upper part for training, lower part for the test."""
    source = shared / "realdata" / "landsat_ucayali_timeseries"
    folder, side = tmp_path / "river", 64
    for before, after in (("1985", "2020"), ("1990", "2015")):
        dates = {}
        for year in (before, after):
            with rasterio.open(source / f"{year}.tif") as raster:
                dates[year] = raster.read((1, 2, 3))  # SWIR, NIR, red: shown as red, green, blue
        water = [np.asarray(Image.open(source / "water_rule" / f"{y}.png")) > 0 for y in dates]
        change = (water[0] ^ water[1]).astype(np.uint8)
        height, width = change.shape
        for y in range(0, height - side + 1, side):
            for x in range(0, width - side + 1, side):
                part = "train" if y < height // 2 else "test"
                name, cut = f"{before}_{y}_{x}", (slice(y, y + side), slice(x, x + side))
                for year, pixels in dates.items():
                    write(folder / part / "images" / name / f"{year}-01-01.tif", pixels[:, *cut])
                (folder / part / "masks").mkdir(parents=True, exist_ok=True)
                Image.fromarray(change[cut]).save(folder / part / "masks" / f"{name}.png")
    (folder / "skybench.toml").write_text(PAIRS)
    overrides = {"epochs": "8", "batch": "8", "tile": str(side)}
    scores = run(
        folder, model="rcf", task="change_detection", protocol="linear", variant="tiny",
        overrides=overrides,
    )  # fmt: skip
    assert scores["f1"] > 35  # everything changed: 13 %


def test_real_series_of_sentinel_2_are_read_and_run(shared: Path, tmp_path: Path) -> None:
    """Algae blooms: twelve months of a pixel, ordinary against severe."""
    source = shared / "realdata" / "presto_timeseries" / "algae_blooms"
    series = np.load(source / "s1_s2_era5_srtm.npy")
    months, target = np.load(source / "month.npy"), np.load(source / "target.npy")
    channels = [2, 3, 4, 5, 6, 7, 8, 9, 11, 12]  # B2 to B8A, B11, B12
    folder = tmp_path / "blooms"
    for kind, wanted in (("low", target == 1), ("high", target >= 4)):
        for index in np.flatnonzero(wanted)[:40]:
            for step in range(12):
                # Consecutive months; the year is not given.
                year, month = divmod(int(months[index, 0]) + step, 12)
                name = f"{2020 + year}-{month + 1:02d}-15.tif"
                path = folder / kind / f"site{index}" / name
                write(path, series[index, step, channels].astype(np.float32)[:, None, None])
    bands = json.dumps(S2)
    (folder / "skybench.toml").write_text(
        f'[sensor]\nname = "s2"\nbands = {bands}\ngsd = 10.0\nunit = "reflectance x 1e4"\n'
    )
    sample = opened(folder, "train")[0]
    assert sample.images["s2"].shape == (12, 10, 1, 1)
    assert torch.all(sample.days["s2"].diff() > 0)
    scores = run(
        folder, model="galileo", task="scene_classification", variant="tiny", weights="random",
        overrides={"size": "4"},
    )  # fmt: skip
    assert scores["oa"] > 60
