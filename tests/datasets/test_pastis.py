from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from skybench.data import simulation

from ._pastis import DATES, days_of, metadata, opened, pastis, spot, write

_seasons = importlib.import_module("skybench.datasets._demo.seasons")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "PASTIS-R"
    write(tree, {10_012: 1, 9_999: 1, 10_001: 4, 10_002: 5})
    return tree


def test_a_patch_is_read_as_it_is_stored(tree: Path) -> None:
    samples = opened(tree.parent)
    assert samples.keys == ("9999_0_0", "10012_0_0")
    assert samples.split.source == "official folds 1, 2, 3"
    assert [sensor.name for sensor in samples.card.sensors] == ["s2", "s1a", "s1d"]
    sample = samples[1]
    for sensor, dates in DATES.items():
        stored = np.load(tree / f"DATA_{sensor}" / f"{sensor}_10012.npy")
        np.testing.assert_array_equal(sample.images[sensor.lower()], stored)
        assert sample.days[sensor.lower()].tolist() == days_of(*dates)
    assert sample.images["s2"].dtype == torch.int16
    assert sample.images["s1a"].dtype == torch.float32
    ids = np.load(tree / "ANNOTATIONS" / "TARGET_10012.npy")[0]
    np.testing.assert_array_equal(sample.target, np.where(ids == 19, 255, ids))
    assert sample.lonlat == pytest.approx((2.319, 48.838), abs=2e-3)
    assert len(samples.card.classes) == 19


def test_eighteen_classes_leave_out_the_background(tree: Path) -> None:
    samples = opened(tree.parent, classes="18")
    ids = np.load(tree / "ANNOTATIONS" / "TARGET_9999.npy")[0].astype(int)
    expected = np.where(np.isin(ids, (0, 19)), 255, ids - 1)
    np.testing.assert_array_equal(samples[0].target, expected)
    assert samples.card.classes[0] == "meadow"
    assert len(samples.card.classes) == 18


def test_the_dates_may_be_one_a_month_for_every_sensor_or_one(tree: Path) -> None:
    monthly = opened(tree.parent, dates="monthly")[0]
    assert {len(image) for image in monthly.images.values()} == {12}
    s2 = days_of(*DATES["S2"])
    nearest = [s2[i] for i in (0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3)]
    assert monthly.days["s2"].tolist() == nearest
    single = opened(tree.parent, dates="single")[0]
    assert single.days["s2"].tolist() == [s2[2]]
    assert single.days["s1a"].tolist() == days_of(20190720)
    stored = np.load(tree / "DATA_S2" / "S2_9999.npy")
    np.testing.assert_array_equal(single.images["s2"], stored[2:3])


def test_the_folds_rotate_as_in_utae_paps(tmp_path: Path) -> None:
    write(tmp_path, {100 + fold: fold for fold in range(1, 6)})
    expected = {
        "": ({1, 2, 3}, {4}, {5}),
        "2": ({2, 3, 4}, {5}, {1}),
        "3": ({3, 4, 5}, {1}, {2}),
        "4": ({4, 5, 1}, {2}, {3}),
        "5": ({5, 1, 2}, {3}, {4}),
    }
    for suffix, parts in expected.items():
        for part, folds in zip(("train", "val", "test"), parts, strict=True):
            keys = opened(tmp_path, f"{part}{suffix}").keys
            assert {int(key[2]) for key in keys} == folds
    assert set(pastis.CARD.splits) == {
        f"{p}{s}" for s in expected for p in ("train", "val", "test")
    }


def test_spot_images_are_read_where_they_are_there(tree: Path) -> None:
    for key in (9_999, 10_012):
        path = spot(tree, key)
    samples = opened(tree.parent)
    assert [sensor.name for sensor in samples.card.sensors] == ["hr", "s2", "s1a", "s1d"]
    image = samples[1].images["hr"]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(image[0], file.read())
    assert image.shape == (1, 3, 80, 80)
    # Of the series there are plain arrays, which are not decoded into shards.
    assert [samples.only(names).plain for names in (["hr", "s2"], ["s2"])] == [False, True]
    (tree / "DATA_SPOT").rename(tree.parent / "DATA_SPOT")
    (tree.parent / "PASTIS-HD").mkdir()
    (tree.parent / "DATA_SPOT").rename(tree.parent / "PASTIS-HD" / "DATA_SPOT")
    assert torch.equal(opened(tree.parent)[1].images["hr"], image)


def test_tiles_of_all_sensors_are_the_same_part(tree: Path) -> None:
    for key in (9_999, 10_012):
        spot(tree, key)
    whole, tiles = opened(tree.parent), opened(tree.parent, tile=4)
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
    assert set(opened(tree.parent)[0].images) == {"s2"}


def test_dates_may_be_a_string_and_in_any_order_of_their_numbers(tree: Path) -> None:
    days = {str(i): d for i, d in reversed(list(enumerate(DATES["S2"])))}
    metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": str(days)})
    assert opened(tree.parent)[0].days["s2"].tolist() == days_of(*DATES["S2"])


def test_torchgeo_reads_the_same_of_the_demo(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    pastis.write_demo(tmp_path)
    assert simulation.is_demo(tmp_path)
    for split, folds in (
        ("train", (1, 2, 3)),
        ("test", (5,)),
        ("val2", (5,)),
        ("train4", (4, 5, 1)),
    ):
        ours = opened(tmp_path, split)
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
    assert {int(v) for sample in opened(tmp_path) for v in sample.target.unique()} == {
        *(pastis.CARD.classes.index(n) for n in ("background", "meadow", "corn", "sunflower")),
        *(pastis.CARD.classes.index(n) for n in ("soft_winter_wheat", "winter_rapeseed")),
        255,
    }
