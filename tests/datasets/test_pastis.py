from __future__ import annotations

import datetime
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray

from skybench import demo, registry
from skybench.core import DataError, UsageError
from skybench.samples import Samples
from skybench.splits import MissingFilesError

_seasons = importlib.import_module("skybench.datasets._seasons")
pastis = registry.load("datasets", "pastis_mm")

SIDE = 8
DATES = {
    "S2": (20181014, 20181117, 20190713, 20190802),
    "S1A": (20181001, 20190720),
    "S1D": (20181003,),
}
RNG = np.random.default_rng(0)
CORNER = (650_000.0, 6_860_000.0)  # south-west, Lambert 93


def _save(path: Path, values: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def _write(tree: Path, patches: dict[int, int]) -> None:
    """Patches by number with their folds; values say patch, sensor and date."""
    for key in patches:
        for sensor, bands in (("S2", 10), ("S1A", 3), ("S1D", 3)):
            pixels = RNG.normal(key, 100, (len(DATES[sensor]), bands, SIDE, SIDE))
            kind = np.int16 if sensor == "S2" else np.float32
            _save(tree / f"DATA_{sensor}" / f"{sensor}_{key}.npy", pixels.astype(kind))
        ids = RNG.integers(0, 20, (3, SIDE, SIDE)).astype(np.uint8)
        _save(tree / "ANNOTATIONS" / f"TARGET_{key}.npy", ids)
    _metadata(tree, patches)


def _metadata(
    tree: Path, patches: dict[int, int], dates: dict[str, Any] | None = None, **members: Any
) -> None:
    (x, y), width = CORNER, 10 * SIDE
    ring = [[x, y], [x + width, y], [x + width, y + width], [x, y + width], [x, y]]
    given = {f"dates-{s}": {str(i): d for i, d in enumerate(all_)} for s, all_ in DATES.items()}
    features = [
        {
            "type": "Feature",
            "properties": {"ID_PATCH": key, "Fold": fold, **given, **(dates or {})},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for key, fold in patches.items()
    ]
    content = {"type": "FeatureCollection", "features": features, **members}
    (tree / "metadata.geojson").write_text(json.dumps(content))


def _spot(tree: Path, key: int, side: int = 10 * SIDE, west: float = CORNER[0]) -> Path:
    folder = tree / "DATA_SPOT" / "PASTIS_SPOT6_RVB_1M00_2019"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"SPOT6_RVB_1M00_2019_{key}.tif"
    pixels = RNG.integers(0, 256, (3, side, side)).astype(np.uint8)
    where = {
        "crs": "EPSG:2154",
        "transform": rasterio.Affine(1, 0, west, 0, -1, CORNER[1] + 10 * SIDE),
    }
    size = {"count": 3, "height": side, "width": side}
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", **size, **where) as file:
        file.write(pixels)
    return path


def _open(root: Path, split: str = "train", tile: int = 0, **options: str) -> Samples:
    samples: Samples = pastis.open(root, split, tile, **options)
    return samples


def _days(*dates: int) -> list[int]:
    epoch = datetime.date(1970, 1, 1)
    return [(datetime.date.fromisoformat(str(date)) - epoch).days for date in dates]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "PASTIS-R"
    _write(tree, {10_012: 1, 9_999: 1, 10_001: 4, 10_002: 5})
    return tree


def test_a_patch_is_read_as_it_is_stored(tree: Path) -> None:
    samples = _open(tree.parent)
    assert samples.keys == ("9999_0_0", "10012_0_0")
    assert samples.split.source == "official folds 1, 2, 3"
    assert [sensor.name for sensor in samples.card.sensors] == ["s2", "s1a", "s1d"]
    sample = samples[1]
    for sensor, dates in DATES.items():
        stored = np.load(tree / f"DATA_{sensor}" / f"{sensor}_10012.npy")
        np.testing.assert_array_equal(sample.images[sensor.lower()], stored)
        assert sample.days[sensor.lower()].tolist() == _days(*dates)
    assert sample.images["s2"].dtype == torch.int16
    assert sample.images["s1a"].dtype == torch.float32
    ids = np.load(tree / "ANNOTATIONS" / "TARGET_10012.npy")[0]
    np.testing.assert_array_equal(sample.target, np.where(ids == 19, 255, ids))
    assert sample.lonlat == pytest.approx((2.319, 48.838), abs=2e-3)
    assert len(samples.card.classes) == 19


def test_eighteen_classes_leave_out_the_background(tree: Path) -> None:
    samples = _open(tree.parent, classes="18")
    ids = np.load(tree / "ANNOTATIONS" / "TARGET_9999.npy")[0].astype(int)
    expected = np.where(np.isin(ids, (0, 19)), 255, ids - 1)
    np.testing.assert_array_equal(samples[0].target, expected)
    assert samples.card.classes[0] == "meadow"
    assert len(samples.card.classes) == 18


def test_the_dates_may_be_one_a_month_for_every_sensor_or_one(tree: Path) -> None:
    monthly = _open(tree.parent, dates="monthly")[0]
    assert {len(image) for image in monthly.images.values()} == {12}
    s2 = _days(*DATES["S2"])
    nearest = [s2[i] for i in (0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3)]
    assert monthly.days["s2"].tolist() == nearest
    single = _open(tree.parent, dates="single")[0]
    assert single.days["s2"].tolist() == [s2[2]]
    assert single.days["s1a"].tolist() == _days(20190720)
    stored = np.load(tree / "DATA_S2" / "S2_9999.npy")
    np.testing.assert_array_equal(single.images["s2"], stored[2:3])


def test_the_folds_rotate_as_in_utae_paps(tmp_path: Path) -> None:
    _write(tmp_path, {100 + fold: fold for fold in range(1, 6)})
    expected = {
        "": ({1, 2, 3}, {4}, {5}),
        "2": ({2, 3, 4}, {5}, {1}),
        "3": ({3, 4, 5}, {1}, {2}),
        "4": ({4, 5, 1}, {2}, {3}),
        "5": ({5, 1, 2}, {3}, {4}),
    }
    for suffix, parts in expected.items():
        for part, folds in zip(("train", "val", "test"), parts, strict=True):
            keys = _open(tmp_path, f"{part}{suffix}").keys
            assert {int(key[2]) for key in keys} == folds
    assert set(pastis.CARD.splits) == {
        f"{p}{s}" for s in expected for p in ("train", "val", "test")
    }


def test_spot_images_are_read_where_they_are_there(tree: Path) -> None:
    for key in (9_999, 10_012):
        path = _spot(tree, key)
    samples = _open(tree.parent)
    assert [sensor.name for sensor in samples.card.sensors] == ["hr", "s2", "s1a", "s1d"]
    image = samples[1].images["hr"]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(image[0], file.read())
    assert image.shape == (1, 3, 80, 80)
    (tree / "DATA_SPOT").rename(tree.parent / "DATA_SPOT")
    (tree.parent / "PASTIS-HD").mkdir()
    (tree.parent / "DATA_SPOT").rename(tree.parent / "PASTIS-HD" / "DATA_SPOT")
    assert torch.equal(_open(tree.parent)[1].images["hr"], image)


def test_tiles_of_all_sensors_are_the_same_part(tree: Path) -> None:
    for key in (9_999, 10_012):
        _spot(tree, key)
    whole, tiles = _open(tree.parent), _open(tree.parent, tile=4)
    assert tiles.keys[:4] == ("9999_0_0", "9999_0_4", "9999_4_0", "9999_4_4")
    assert tiles.card.tile == 4
    for index, (y, x) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        tile = tiles[index]
        assert torch.equal(tile.target, whole[0].target[y : y + 4, x : x + 4])
        for sensor, image in tile.images.items():
            step = 10 if sensor == "hr" else 1
            rows, columns = (slice(step * v, step * (v + 4)) for v in (y, x))
            assert torch.equal(image, whole[0].images[sensor][..., rows, columns])
    assert tiles[0].lonlat[0] < whole[0].lonlat[0] < tiles[1].lonlat[0]
    assert tiles[0].lonlat[1] > whole[0].lonlat[1] > tiles[2].lonlat[1]


def test_plain_pastis_has_sentinel_2_alone(tree: Path) -> None:
    for folder in ("DATA_S1A", "DATA_S1D"):
        (tree / folder).rename(tree.parent / folder)
    assert set(_open(tree.parent)[0].images) == {"s2"}


def test_missing_files_are_all_named(tree: Path) -> None:
    (tree / "DATA_S1D" / "S1D_9999.npy").unlink()
    (tree / "ANNOTATIONS" / "TARGET_10012.npy").unlink()
    with pytest.raises(MissingFilesError) as error:
        _open(tree.parent)
    assert error.value.files == ("ANNOTATIONS/TARGET_10012.npy", "DATA_S1D/S1D_9999.npy")
    (tree / "ANNOTATIONS").rename(tree / "LABELS")
    with pytest.raises(DataError, match="no ANNOTATIONS"):
        _open(tree.parent)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"0": 20190713, "1": 20181014, "2": 20181117, "3": 20190802}, "out of order"),
        ({"0": 20190231}, "ValueError"),
        ({"0": "soon"}, "soon"),
        ({}, "no dates"),
        ([20190101], "TypeError|AttributeError|LookupError|IndexError"),
    ],
)
def test_wrong_dates_are_errors(tree: Path, dates: Any, message: str) -> None:
    _metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": dates})
    with pytest.raises(DataError, match=rf"metadata\.geojson.*({message})"):
        _open(tree.parent)


def test_dates_may_be_a_string_and_in_any_order_of_their_numbers(tree: Path) -> None:
    days = {str(i): d for i, d in reversed(list(enumerate(DATES["S2"])))}
    _metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": str(days)})
    assert _open(tree.parent)[0].days["s2"].tolist() == _days(*DATES["S2"])


def test_another_number_of_dates_than_images_is_an_error(tree: Path) -> None:
    _metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": {"0": 20181014, "1": 20181117}})
    with pytest.raises(DataError, match=r"S2_9999\.npy is 4 x 10 .*expected 2 x 10"):
        _open(tree.parent)[0]


def test_metadata_that_cannot_be_right_are_errors(tree: Path) -> None:
    _metadata(tree, {9_999: 6})
    with pytest.raises(DataError, match="fold 6"):
        _open(tree.parent)
    path = tree / "metadata.geojson"
    content = json.loads(path.read_text())
    content["features"][0]["properties"]["Fold"] = 1
    content["features"] *= 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="9999 twice"):
        _open(tree.parent)
    for text in ("", "[]", '{"features": [{}]}', '{"features": [{"properties": {}}]}'):
        path.write_text(text)
        with pytest.raises(DataError, match="not the metadata of PASTIS"):
            _open(tree.parent)
    _metadata(tree, {9_999: 5})
    with pytest.raises(DataError, match=r"'train' of .* is empty"):
        _open(tree.parent)


def test_the_geometry_may_be_in_another_system(tree: Path) -> None:
    lambert = _open(tree.parent)[0].lonlat
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    _metadata(tree, {9_999: 1, 10_012: 1}, crs=named)
    assert _open(tree.parent)[0].lonlat != pytest.approx(lambert, abs=0.1)
    named["properties"] = {"name": "somewhere"}
    _metadata(tree, {9_999: 1, 10_012: 1}, crs=named)
    with pytest.raises(DataError, match="CRSError"):
        _open(tree.parent)


def test_broken_files_are_named(tree: Path) -> None:
    target = tree / "ANNOTATIONS" / "TARGET_9999.npy"
    for path in (tree / "DATA_S2" / "S2_9999.npy", target):
        whole = path.read_bytes()
        for part in (whole[:-10], b"", b"no array"):
            path.write_bytes(part)
            with pytest.raises(DataError, match=path.name):
                _open(tree.parent)[0]
        path.write_bytes(whole)
    np.save(tree / "DATA_S2" / "S2_9999.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"S2_9999\.npy"):
        _open(tree.parent)[0]
    _write(tree, {10_012: 1, 9_999: 1})
    np.save(target, np.full((3, SIDE, SIDE), 20, np.uint8))
    with pytest.raises(DataError, match=r"TARGET_9999\.npy holds the classes \[20\]"):
        _open(tree.parent)[0]
    np.save(tree / "ANNOTATIONS" / "TARGET_10012.npy", np.zeros((3, 4, 4), np.uint8))
    np.save(target, np.zeros((3, SIDE, SIDE), np.uint8))
    with pytest.raises(DataError, match=r"TARGET_10012\.npy is 3 x 4 x 4; expected 3 x 8 x 8"):
        _open(tree.parent)[1]


def test_a_spot_image_of_another_size_or_place_is_an_error(tree: Path) -> None:
    _spot(tree, 10_012)
    _spot(tree, 9_999, side=40)
    with pytest.raises(DataError, match=r"2019_9999\.tif is 40 x 40 pixels; expected 80 x 80"):
        _open(tree.parent)[0]
    _spot(tree, 9_999, west=CORNER[0] + 40)
    with pytest.raises(DataError, match=r"2019_9999\.tif does not lie where"):
        _open(tree.parent)[0]


def test_other_splits_and_options_are_answered_with_the_known_ones(tree: Path) -> None:
    with pytest.raises(UsageError, match="Known: train, val, test, train2"):
        _open(tree.parent, "train6")
    with pytest.raises(UsageError, match="Known: all, monthly, single"):
        _open(tree.parent, dates="weekly")


def test_torchgeo_reads_the_same_of_the_demo(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    pastis.write_demo(tmp_path)
    assert demo.marked(tmp_path)
    for split, folds in (
        ("train", (1, 2, 3)),
        ("test", (5,)),
        ("val2", (5,)),
        ("train4", (4, 5, 1)),
    ):
        ours = _open(tmp_path, split)
        for sensor in ("s2", "s1a", "s1d"):
            theirs = datasets.PASTIS(tmp_path, folds, sensor)
            assert len(ours) == len(theirs)
            for number, key in enumerate(theirs.idxs):
                mine, other = ours[ours.keys.index(f"{key}_0_0")], theirs[number]
                assert torch.equal(mine.images[sensor].float(), other["image"])
                mask = other["mask"]
                mask[mask == 19] = 255
                assert torch.equal(mine.target.long(), mask)
    assert tuple(datasets.PASTIS.classes[:19]) == pastis.CARD.classes


def test_the_crops_of_the_demo_differ_in_time_only(tmp_path: Path) -> None:
    """On some date two crops are equally green, on another they are not."""
    days = range(0, 300, 10)
    table = np.array([[_seasons.vigour(kind, day) for day in days] for kind in _seasons.SEASONS])
    assert table.min() >= 0
    assert table.max() <= 1
    wheat, rape = (
        table[list(_seasons.SEASONS).index(n)] for n in ("soft_winter_wheat", "winter_rapeseed")
    )
    assert np.abs(wheat - rape).min() < 0.01
    assert np.abs(wheat - rape).max() > 0.9
    pastis.write_demo(tmp_path)
    assert {int(v) for sample in _open(tmp_path) for v in sample.target.unique()} == {
        *(pastis.CARD.classes.index(n) for n in ("background", "meadow", "corn", "sunflower")),
        *(pastis.CARD.classes.index(n) for n in ("soft_winter_wheat", "winter_rapeseed")),
        255,
    }
