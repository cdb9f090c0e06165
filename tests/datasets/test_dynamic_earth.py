from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import DataError, UsageError, registry
from skybench.data import simulation

from ._dynamic import (
    CUBE,
    IDS,
    L2A,
    RADAR,
    RNG,
    SERIES,
    SIDE,
    day_of,
    facts,
    numbered,
    one_hot,
    opened,
    write_label,
    write_planet,
    write_sentinel,
    write_tif,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A marked folder: any months will do."""
    simulation.write_marker(tmp_path, "dyna", 0)
    return tmp_path


def test_one_hot_bands_become_class_ids_and_snow_and_nothing_are_ignored(root: Path) -> None:
    ids = IDS.copy()
    ids[0] = 6
    ids[1] = 9  # in no band
    write_label(root, "2018-01", ids)
    write_planet(root, "2018-01-01")
    (sample,) = opened("dyna_pla", root)
    assert sample.key == f"{CUBE}_2018-01_0_0"
    assert sample.target.dtype == torch.uint8
    assert sample.target[:2].unique().tolist() == [255]
    np.testing.assert_array_equal(sample.target[2:], ids[2:])


@pytest.mark.parametrize(("value", "message"), [(255, "1 pixels more than one class"), (3, "3;")])
def test_a_label_that_is_not_one_hot_is_an_error(root: Path, value: int, message: str) -> None:
    path = write_label(root, "2018-01")
    hot = one_hot(IDS)
    hot[(IDS[5, 5] + 1) % 7, 5, 5] = value
    write_tif(path, hot)
    write_planet(root, "2018-01-01")
    with pytest.raises(DataError, match=rf"{path.name}.*{message}"):
        opened("dyna_pla", root)[0]


def test_planet_images_are_those_of_the_dates_that_are_asked_for(root: Path) -> None:
    write_label(root, "2018-02")
    for day in range(1, 29):
        write_planet(root, f"2018-02-{day:02}", day)
    for dates, days in (
        ("single", [1]),
        ("weekly", [1, 5, 10, 15, 20, 25]),
        ("daily", list(range(1, 29))),
    ):
        (sample,) = opened("dyna_pla", root, {"dates": dates})
        assert sample.images["hr"].shape == (len(days), 4, SIDE, SIDE)
        assert sample.images["hr"].dtype == torch.int32
        assert sample.images["hr"][:, 0, 0, 0].tolist() == days
        assert sample.days["hr"].tolist() == [day_of(f"2018-02-{day:02}") for day in days]


def test_negative_reflectance_keeps_its_type(root: Path) -> None:
    write_label(root, "2018-01")
    write_tif(write_planet(root, "2018-01-01"), np.full((4, SIDE, SIDE), -485, np.int16))
    image = opened("dyna_pla", root)[0].images["hr"]
    assert image.dtype == torch.int16
    assert set(image.flatten().tolist()) == {-485}


def test_the_bands_of_sentinel_2_are_read_in_the_stated_order(root: Path) -> None:
    write_label(root, "2018-01")
    write_sentinel(root, "2018-01", numbered(12))
    names = facts.S2.bands
    for text, order in (
        ("l2a", names),
        ("by_resolution", facts.ORDERS["by_resolution"]),
        (", ".join(reversed(names)), names[::-1]),
    ):
        image = opened("dyna_s2", root, {"s2_bands": text})[0].images["s2"]
        assert image.shape == (1, 12, SIDE // 4, SIDE // 4)
        assert image[0, :, 0, 0].tolist() == [100 * (order.index(n) + 1) for n in names]


def test_an_order_that_nobody_states_is_asked_for(root: Path) -> None:
    write_label(root, "2018-01")
    write_sentinel(root, "2018-01", numbered(12))
    with pytest.raises(DataError, match=r"dynnet#10.*--option s2_bands="):
        opened("dyna_s2", root)
    with pytest.raises(DataError, match=r"--option s1_bands="):
        opened("dyna_mm", root, L2A)
    for wrong in ("blue,green", "l1c", ",".join(("blue",) * 12)):
        with pytest.raises(UsageError, match="expected 12"):
            opened("dyna_s2", root, {"s2_bands": wrong})


@pytest.mark.parametrize("side", [SIDE, SIDE // 4, 2 * SIDE])
def test_sentinel_images_are_averaged_to_a_quarter_of_the_label(root: Path, side: int) -> None:
    """Whatever side they are stored at; every tile gets its own part."""
    stored = RNG.integers(0, 10_000, (12, side, side)).astype(np.uint16)
    write_label(root, "2018-01")
    write_sentinel(root, "2018-01", stored)
    (whole,) = opened("dyna_s2", root, L2A)
    small = side // (SIDE // 4)
    means = stored.reshape(12, SIDE // 4, small, SIDE // 4, small).mean((2, 4))
    np.testing.assert_allclose(whole.images["s2"][0], means, atol=1)
    tiles = opened("dyna_s2", root, L2A, tile=8)
    assert tiles.keys == tuple(f"{CUBE}_2018-01_{y}_{x}" for y in (0, 8) for x in (0, 8))
    for tile, (y, x) in zip(tiles, [(0, 0), (0, 2), (2, 0), (2, 2)], strict=True):
        assert torch.equal(tile.images["s2"], whole.images["s2"][..., y : y + 2, x : x + 2])
        window = whole.target[4 * y : 4 * y + 8, 4 * x : 4 * x + 8]
        assert torch.equal(tile.target, window)


def test_tiles_lie_where_they_are_on_earth(root: Path) -> None:
    write_label(root, "2018-01")
    write_planet(root, "2018-01-01")
    (whole,) = opened("dyna_pla", root)
    north_west = opened("dyna_pla", root, tile=8)[0]
    assert whole.lonlat == pytest.approx((-122.4066, 40.7941), abs=1e-3)
    assert north_west.lonlat[0] < whole.lonlat[0]
    assert north_west.lonlat[1] > whole.lonlat[1]


def test_a_tile_must_be_a_multiple_of_four_for_sentinel(root: Path) -> None:
    write_label(root, "2018-01")
    write_sentinel(root, "2018-01", numbered(12))
    with pytest.raises(UsageError, match="multiple of 4"):
        opened("dyna_s2", root, L2A, tile=6)


def test_radar_is_read_in_db_and_linear_power_is_noticed(root: Path) -> None:
    power = np.stack([np.full((SIDE, SIDE), 10.0**-b) for b in range(8)]).astype(np.float32)
    write_label(root, "2018-01")
    write_planet(root, "2018-01-01")
    write_sentinel(root, "2018-01", numbered(12))
    write_sentinel(root, "2018-01", 10 * np.log10(power), "sentinel1")
    (stored,) = opened("dyna_mm", root, L2A | RADAR)
    assert stored.images["s1"][0, :, 0, 0].tolist() == pytest.approx([-20, -10])
    path = write_sentinel(root, "2018-01", power, "sentinel1")
    with pytest.raises(DataError, match=rf"{path.name}.*s1_unit=linear"):
        opened("dyna_mm", root, L2A | RADAR)[0]
    (linear,) = opened("dyna_mm", root, L2A | RADAR | {"s1_unit": "linear"})
    torch.testing.assert_close(linear.images["s1"], stored.images["s1"])


def test_one_file_twice_is_an_error_and_a_loop_of_links_is_none(root: Path) -> None:
    write_label(root, "2018-01")
    write_planet(root, "2018-01-01")
    (root / "planet" / "up").symlink_to(root)
    assert len(opened("dyna_pla", root)) == 1
    (root / "planet" / "up").unlink()
    copy = root / "more" / CUBE / "PF-SR"
    copy.mkdir(parents=True)
    write_planet(root, "2018-01-01").rename(copy / "2018-01-01.tif")
    write_planet(root, "2018-01-01")
    with pytest.raises(DataError, match="both of cube 1311_3077_13 and 2018-01-01"):
        opened("dyna_pla", root)


def test_broken_files_are_named(root: Path) -> None:
    label, image = write_label(root, "2018-01"), write_planet(root, "2018-01-01")
    for path in (image, label):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=rf"{path.name} "):
            opened("dyna_pla", root)[0]
        path.write_bytes(whole)
    write_tif(image, np.zeros((3, SIDE, SIDE), np.uint16))
    with pytest.raises(DataError, match=r"2018-01-01\.tif is 3 bands of 16 x 16.*expected 4"):
        opened("dyna_pla", root)[0]
    write_planet(root, "2018-02-01")
    write_planet(root, "2018-01-01")
    other = write_label(root, "2018-02", IDS[:8, :8])
    with pytest.raises(DataError, match=rf"{other.name} is 7 bands of 8 x 8.*expected 7 of 16"):
        opened("dyna_pla", root)[1]


@pytest.mark.parametrize("moved", [{"west": 560_000.0}, {"zone": 32611}])
def test_an_image_of_another_place_is_an_error(root: Path, moved: dict[str, Any]) -> None:
    write_label(root, "2018-01")
    path = write_planet(root, "2018-01-01")
    write_tif(path, np.zeros((4, SIDE, SIDE), np.uint16), **moved)
    with pytest.raises(DataError, match=r"2018-01-01\.tif does not lie where its label does"):
        opened("dyna_pla", root)[0]


def test_a_day_that_does_not_exist_is_an_error(root: Path) -> None:
    write_label(root, "2018-13")
    folder = root / "sentinel2" / CUBE
    folder.mkdir(parents=True)
    (folder / "2018-13.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"2018-13\.tif has no date in its name"):
        opened("dyna_s2", root, L2A)


def test_the_three_demos_have_the_same_samples(tmp_path: Path) -> None:
    every = {}
    for name in ("dyna_pla", "dyna_s2", "dyna_mm"):
        registry.load("datasets", name).write_demo(tmp_path / name)
        every[name] = opened(name, tmp_path / name, split="test", tile=64)
    first, second, both = every.values()
    assert first.keys == second.keys == both.keys
    assert len(first) == 2 * 6 * 4
    for index in (0, -1):
        assert torch.equal(first[index].target, second[index].target)
        assert torch.equal(first[index].images["hr"], both[index].images["hr"])
        assert torch.equal(first[index].target, both[index].target)
        assert both[index].images["s1"].shape == (1, 2, 16, 16)
    series = opened("dyna_s2", tmp_path / "dyna_s2", SERIES)
    assert len(series) == 6
    for sample in series:
        assert (sample.target[1:] != sample.target[:-1]).any()
        assert sample.images["s2"].shape == (6, 12, 32, 32)
    assert series[0].days["s2"].diff().tolist()[2] == 0  # April has March's image
