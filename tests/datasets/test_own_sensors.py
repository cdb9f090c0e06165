"""[sensor] of skybench.toml, and images of several sensors of one place."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import skybench
from skybench.core import DataError, Sensor, matching, registry
from skybench.core.sensors import L1C

own_sensors = importlib.import_module("skybench.datasets._readers.own_sensors")
BOTH = f"""
[sensor.s2]
bands = {list(L1C)}
gsd = 10.0
unit = "reflectance x 1e4"
[sensor.s1]
bands = ["vv", "vh"]
gsd = 10.0
unit = "dB"
""".replace("'", '"')
NORTH_UP = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
COUNTS = {"s2": 13, "s1": 2}


@pytest.fixture
def plugin() -> ModuleType:
    return registry.load("datasets", "folder")


def test_one_sensor_has_its_bands_unit_and_factors() -> None:
    table = {"bands": ["red"], "gsd": 3, "unit": "dB", "scale": 0.5, "offset": -1, "fill": 0}
    (sensor,) = own_sensors.parse_sensors(table)
    assert sensor == own_sensors.OwnSensor("hr", ("red",), 3.0, "dB", "", 0.5, -1.0, 0.0, "")


def test_several_sensors_have_a_folder_each() -> None:
    found = own_sensors.parse_sensors(
        {"s2": {"bands": ["red"]}, "s1": {"bands": ["vv"], "folder": "radar/a"}}
    )
    assert [(s.name, s.folder) for s in found] == [("s2", "s2"), ("s1", "radar/a")]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, "expected a table with bands"),
        ([1], "expected a table with bands"),
        ({"unit": "dB"}, "has no 'bands'"),
        ({"bands": []}, "expected different names"),
        ({"bands": ["a", "a"]}, "expected different names"),
        ({"bands": "red"}, "expected a list of texts"),
        ({"bands": ["a"], "colour": 1}, "has the key 'colour'; known: name, bands"),
        ({"bands": ["a"], "unit": "metres"}, "unit 'metres' of sensor is not known"),
        ({"bands": ["a"], "scale": 0}, "scale of sensor is 0"),
        ({"bands": ["a"], "scale": float("nan")}, "expected a finite number"),
        ({"bands": ["a"], "offset": "1"}, "expected a number"),
        ({"bands": ["a"], "gsd": -1}, "expected metres a pixel"),
        ({"bands": ["a"], "name": "../x"}, "expected letters and digits"),
        ({"s1": {"bands": ["a"], "folder": "../x"}}, "leads out"),
        ({"s1": {"bands": ["a"], "folder": "/x"}}, "leads out"),
        ({"s1": {"bands": ["a"], "folder": 3}}, "expected a text"),
        ({"a": {"bands": ["a"]}, "b": {"bands": ["b"], "folder": "a"}}, "have the folder 'a'"),
    ],
)
def test_what_is_wrong_in_the_table_is_said(table: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        own_sensors.parse_sensors(table)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*own_sensors.KNOWN, "s1", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(json)
def test_any_table_gives_sensors_or_a_reason(table: Any) -> None:
    try:
        found = own_sensors.parse_sensors(table)
    except DataError:
        return
    assert all(isinstance(sensor, Sensor) and sensor.bands for sensor in found)


def write(path: Path, pixels: NDArray[Any], where: rasterio.Affine = NORTH_UP) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", "GTiff", *pixels.shape[:0:-1], len(pixels), dtype=pixels.dtype,
        crs="EPSG:32632", transform=where,
    ) as raster:  # fmt: skip
        raster.write(pixels)


def classes(root: Path, each: int = 10, side: int = 16) -> Path:
    """Two classes of which only radar tells one from the other."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("dry", "wet")):
        for i in range(each):
            optical = rng.integers(500, 3000, (13, side, side)).astype(np.uint16)
            radar = rng.normal(-8 - 8 * number, 1, (2, side, side)).astype(np.float32)
            write(root / "s2" / name / f"{i}.tif", optical)
            write(root / "s1" / name / f"{i}.tif", radar)
    (root / "skybench.toml").write_text(BOTH)
    return root


def test_class_folders_of_two_sensors_are_read_together(plugin: ModuleType, tmp_path: Path) -> None:
    classes(tmp_path)
    samples = plugin.open(tmp_path, "train")
    assert samples.card.classes == ("dry", "wet")
    assert len(samples) == 12
    assert len(samples.files) == 24
    for sample in samples:
        assert {name: len(x[0]) for name, x in sample.images.items()} == COUNTS
        assert (sample.images["s1"].mean() < -12) == sample.target
    assert [*samples.only(["s1"])[0].images] == ["s1"]


def test_folders_of_sensors_may_have_the_splits_in_them(plugin: ModuleType, tmp_path: Path) -> None:
    classes(tmp_path / "whole", 2)
    for part in ("train", "test"):
        for name in COUNTS:
            shutil.copytree(tmp_path / "whole" / name, tmp_path / "parts" / name / part)
    (tmp_path / "parts" / "skybench.toml").write_text(BOTH)
    samples = plugin.open(tmp_path / "parts", "test")
    assert samples.split.source.startswith("rule")
    assert [len(sample.images) for sample in samples] == [2] * 4


def test_a_missing_partner_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    classes(tmp_path)
    for path in (tmp_path / "s1" / "wet").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"\d\.tif has no partner of the sensor s1"):
        plugin.open(tmp_path, "train")


def test_a_name_by_which_no_model_finds_a_sensor_is_told(
    plugin: ModuleType, tmp_path: Path
) -> None:
    classes(tmp_path)
    assert plugin.open(tmp_path, "train").notes == ()
    (tmp_path / "s1").rename(tmp_path / "radar")
    (tmp_path / "skybench.toml").write_text(BOTH.replace("sensor.s1", "sensor.radar"))
    (note,) = plugin.open(tmp_path, "train").notes
    assert note.startswith("the sensor radar is read only by models with an input of that name")


def test_a_missing_folder_of_a_sensor_is_named(plugin: ModuleType, tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "s1").rename(tmp_path / "radar")
    with pytest.raises(DataError, match=r"no folder s1/ of the sensor s1; it holds radar/"):
        plugin.open(tmp_path, "train")


def masks(root: Path, rate: int = 1) -> Path:
    """Eight places of 40 x 48 pixels; radar has `rate` times as many."""
    rng = np.random.default_rng(0)
    (root / "masks").mkdir(parents=True)
    for i in range(8):
        mask = rng.integers(0, 2, (40, 48)).astype(np.uint8)
        Image.fromarray(mask).save(root / "masks" / f"{i}.png")
        write(root / "s2" / f"{i}.tif", np.tile(mask, (13, 1, 1)).astype(np.uint16) * 1000 + 500)
        fine = np.kron(mask, np.ones((rate, rate)))
        radar = np.tile(fine, (2, 1, 1)).astype(np.float32) - 10
        write(root / "s1" / f"{i}.tif", radar, NORTH_UP @ rasterio.Affine.scale(1 / rate))
    (root / "skybench.toml").write_text(f'classes = ["land", "water"]\n{BOTH}')
    return root


@pytest.mark.parametrize("rate", [1, 2])
def test_tiles_of_two_sensors_show_the_same_place(
    plugin: ModuleType, tmp_path: Path, rate: int
) -> None:
    for sample in plugin.open(masks(tmp_path, rate), "train", 32):
        known = sample.target != 255
        optical = sample.images["s2"][0, 0]
        radar = sample.images["s1"][0, 0, ::rate, ::rate]
        assert sample.images["s1"].shape == (1, 2, rate * 32, rate * 32)
        assert (optical[known] == sample.target[known].int() * 1000 + 500).all()
        assert (radar[known] == sample.target[known].float() - 10).all()
        assert not np.isnan(sample.lonlat).any()


def test_sizes_of_two_sensors_must_fit(plugin: ModuleType, tmp_path: Path) -> None:
    masks(tmp_path)
    for i in range(8):
        write(tmp_path / "s1" / f"{i}.tif", np.zeros((2, 50, 48), np.float32))
    with pytest.raises(DataError, match=r"is 50 x 48 pixels .* of the same place 40 x 48"):
        plugin.open(tmp_path, "train", 32)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (rasterio.Affine(10, 0, 9e5, 0, -10, 5e6), r"s1/\d\.tif does not lie on .*s2/\d\.tif"),
        (rasterio.Affine(10, 0, 5e5, 0, 10, 5e6 - 400), r"s1/\d\.tif lies in another direction"),
    ],
)
def test_sensors_of_different_places_or_directions_are_refused(
    plugin: ModuleType, tmp_path: Path, where: rasterio.Affine, reason: str
) -> None:
    masks(tmp_path)
    for i in range(8):
        write(tmp_path / "s1" / f"{i}.tif", np.zeros((2, 40, 48), np.float32), where)
    with pytest.raises(DataError, match=reason):
        plugin.open(tmp_path, "train", 32)


def test_a_model_of_both_sensors_uses_both(plugin: ModuleType, tmp_path: Path) -> None:
    sensors = plugin.open(classes(tmp_path / "two"), "train").card.sensors
    assert {*matching.match(registry.model("galileo").CARD, sensors)} == {"s1", "s2"}
    (record,) = skybench.run(
        "galileo", "scene_classification", dataset=f"folder:{tmp_path / 'two'}",
        variant="tiny", weights="random", protocol="knn", results=tmp_path / "runs",
        overrides={"size": "16"},
    )  # fmt: skip
    assert record.status == "measured", record.note
    assert record.used["sensors"] == ["s1", "s2"]
    assert record.scores["oa"] > 90
