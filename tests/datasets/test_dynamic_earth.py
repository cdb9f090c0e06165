from __future__ import annotations

import datetime
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio import Affine

from skybench import demo, registry
from skybench.core import DataError, UsageError
from skybench.samples import Samples
from skybench.splits import MissingFilesError

facts = importlib.import_module("skybench.datasets._dynamic_facts")
_tree = importlib.import_module("skybench.datasets._dynamic_tree")
_earth = importlib.import_module("skybench.datasets._dynamic_earth")

CUBE, OTHER, LATER = "1311_3077_13", "1700_3100_13", "2235_3403_13"
SIDE = 16
L2A, RADAR = {"s2_bands": "l2a"}, {"s1_bands": "_,vh,vv,_,_,_,_,_"}
SERIES = {"sample": "series"}
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 6, (SIDE, SIDE))


def _tif(
    path: Path, pixels: NDArray[Any], gsd: float = 3.0, west: float = 550_000.0, zone: int = 32610
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = dict(zip(("count", "height", "width"), pixels.shape, strict=True))
    where = {"crs": f"EPSG:{zone}", "transform": Affine(gsd, 0, west, 0, -gsd, 4_516_000)}
    with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, **shape, **where) as file:
        file.write(pixels)


def _hot(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return np.where(ids == np.arange(7)[:, None, None], np.uint8(255), np.uint8(0))


def _label(root: Path, month: str, ids: NDArray[Any] = IDS, cube: str = CUBE) -> Path:
    quad = "10N-122W-40N-L3H-SR"
    folder = root / "labels" / f"{cube}_10N" / "Labels" / "Raster" / quad
    path = folder / f"{quad}-{month.replace('-', '_')}_01.tif"
    _tif(path, _hot(ids))
    path.with_suffix(".tif.aux.xml").write_text("")
    return path


def _planet(root: Path, day: str, value: int = 7, cube: str = CUBE) -> Path:
    path = root / "planet" / "10N" / "23E-188N" / cube / "PF-SR" / f"{day}.tif"
    _tif(path, np.full((4, SIDE, SIDE), value, np.uint16))
    return path


def _sentinel(root: Path, month: str, pixels: NDArray[Any], kind: str = "sentinel2") -> Path:
    path = root / kind / "10N" / CUBE / f"{CUBE}_{month.replace('-', '_')}.tif"
    _tif(path, pixels, 3.0 * SIDE / pixels.shape[-1])
    return path


def _bands(count: int, side: int = SIDE) -> NDArray[Any]:
    """A band's number times 100 in each."""
    numbers = np.arange(1, count + 1)[:, None, None]
    return np.asarray(numbers * np.full((1, side, side), 100), np.uint16)


def _open(
    name: str,
    root: Path,
    options: Mapping[str, str] | None = None,
    split: str = "train",
    tile: int = 0,
) -> Samples:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(root, split, tile, **(options or {}))
    return samples


def _day(text: str) -> int:
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A marked folder: any months will do."""
    demo.mark(tmp_path, "dyna", 0)
    return tmp_path


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real dataset of four cubes and three months."""
    cubes = {"train": (CUBE, facts.UNSEEN, LATER), "val": (OTHER,), "test": ()}
    for module in (_tree, _earth):
        monkeypatch.setattr(module, "CUBES", cubes)
        monkeypatch.setattr(module, "MONTHS", ("2018-01", "2018-02", "2018-03"))


def test_there_are_75_cubes_in_three_splits() -> None:
    parts = [set(cubes) for cubes in facts.CUBES.values()]
    assert [len(part) for part in parts] == [55, 10, 10]
    assert len(set.union(*parts)) == 75
    assert set(facts.LATER) < parts[0]
    assert facts.SPLITS == {"train": 1320, "val": 240, "test": 240}


def test_one_hot_bands_become_class_ids_and_snow_and_nothing_are_ignored(root: Path) -> None:
    ids = IDS.copy()
    ids[0] = 6
    ids[1] = 9  # in no band
    _label(root, "2018-01", ids)
    _planet(root, "2018-01-01")
    (sample,) = _open("dyna_pla", root)
    assert sample.key == f"{CUBE}_2018-01_0_0"
    assert sample.target.dtype == torch.uint8
    assert sample.target[:2].unique().tolist() == [255]
    np.testing.assert_array_equal(sample.target[2:], ids[2:])


@pytest.mark.parametrize(("value", "message"), [(255, "1 pixels more than one class"), (3, "3;")])
def test_a_label_that_is_not_one_hot_is_an_error(root: Path, value: int, message: str) -> None:
    path = _label(root, "2018-01")
    hot = _hot(IDS)
    hot[(IDS[5, 5] + 1) % 7, 5, 5] = value
    _tif(path, hot)
    _planet(root, "2018-01-01")
    with pytest.raises(DataError, match=rf"{path.name}.*{message}"):
        _open("dyna_pla", root)[0]


def test_planet_images_are_those_of_the_dates_that_are_asked_for(root: Path) -> None:
    _label(root, "2018-02")
    for day in range(1, 29):
        _planet(root, f"2018-02-{day:02}", day)
    for dates, days in (
        ("single", [1]),
        ("weekly", [1, 5, 10, 15, 20, 25]),
        ("daily", list(range(1, 29))),
    ):
        (sample,) = _open("dyna_pla", root, {"dates": dates})
        assert sample.images["hr"].shape == (len(days), 4, SIDE, SIDE)
        assert sample.images["hr"].dtype == torch.int32
        assert sample.images["hr"][:, 0, 0, 0].tolist() == days
        assert sample.days["hr"].tolist() == [_day(f"2018-02-{day:02}") for day in days]


def test_negative_reflectance_keeps_its_type(root: Path) -> None:
    _label(root, "2018-01")
    _tif(_planet(root, "2018-01-01"), np.full((4, SIDE, SIDE), -485, np.int16))
    image = _open("dyna_pla", root)[0].images["hr"]
    assert image.dtype == torch.int16
    assert set(image.flatten().tolist()) == {-485}


def test_the_bands_of_sentinel_2_are_read_in_the_stated_order(root: Path) -> None:
    _label(root, "2018-01")
    _sentinel(root, "2018-01", _bands(12))
    names = facts.S2.bands
    for text, order in (
        ("l2a", names),
        ("by_resolution", facts.ORDERS["by_resolution"]),
        (", ".join(reversed(names)), names[::-1]),
    ):
        image = _open("dyna_s2", root, {"s2_bands": text})[0].images["s2"]
        assert image.shape == (1, 12, SIDE // 4, SIDE // 4)
        assert image[0, :, 0, 0].tolist() == [100 * (order.index(n) + 1) for n in names]


def test_an_order_that_nobody_states_is_asked_for(root: Path) -> None:
    _label(root, "2018-01")
    _sentinel(root, "2018-01", _bands(12))
    with pytest.raises(DataError, match=r"dynnet#10.*--option s2_bands="):
        _open("dyna_s2", root)
    with pytest.raises(DataError, match=r"--option s1_bands="):
        _open("dyna_mm", root, L2A)
    for wrong in ("blue,green", "l1c", ",".join(("blue",) * 12)):
        with pytest.raises(UsageError, match="expected 12"):
            _open("dyna_s2", root, {"s2_bands": wrong})


@pytest.mark.parametrize("side", [SIDE, SIDE // 4, 2 * SIDE])
def test_sentinel_images_are_averaged_to_a_quarter_of_the_label(root: Path, side: int) -> None:
    """Whatever side they are stored at; every tile gets its own part."""
    stored = RNG.integers(0, 10_000, (12, side, side)).astype(np.uint16)
    _label(root, "2018-01")
    _sentinel(root, "2018-01", stored)
    (whole,) = _open("dyna_s2", root, L2A)
    small = side // (SIDE // 4)
    means = stored.reshape(12, SIDE // 4, small, SIDE // 4, small).mean((2, 4))
    np.testing.assert_allclose(whole.images["s2"][0], means, atol=1)
    tiles = _open("dyna_s2", root, L2A, tile=8)
    assert tiles.keys == tuple(f"{CUBE}_2018-01_{y}_{x}" for y in (0, 8) for x in (0, 8))
    for tile, (y, x) in zip(tiles, [(0, 0), (0, 2), (2, 0), (2, 2)], strict=True):
        assert torch.equal(tile.images["s2"], whole.images["s2"][..., y : y + 2, x : x + 2])
        window = whole.target[4 * y : 4 * y + 8, 4 * x : 4 * x + 8]
        assert torch.equal(tile.target, window)


def test_tiles_lie_where_they_are_on_earth(root: Path) -> None:
    _label(root, "2018-01")
    _planet(root, "2018-01-01")
    (whole,) = _open("dyna_pla", root)
    north_west = _open("dyna_pla", root, tile=8)[0]
    assert whole.lonlat == pytest.approx((-122.4066, 40.7941), abs=1e-3)
    assert north_west.lonlat[0] < whole.lonlat[0]
    assert north_west.lonlat[1] > whole.lonlat[1]


def test_a_tile_must_be_a_multiple_of_four_for_sentinel(root: Path) -> None:
    _label(root, "2018-01")
    _sentinel(root, "2018-01", _bands(12))
    with pytest.raises(UsageError, match="multiple of 4"):
        _open("dyna_s2", root, L2A, tile=6)


def test_radar_is_read_in_db_and_linear_power_is_noticed(root: Path) -> None:
    power = np.stack([np.full((SIDE, SIDE), 10.0**-b) for b in range(8)]).astype(np.float32)
    _label(root, "2018-01")
    _planet(root, "2018-01-01")
    _sentinel(root, "2018-01", _bands(12))
    _sentinel(root, "2018-01", 10 * np.log10(power), "sentinel1")
    (stored,) = _open("dyna_mm", root, L2A | RADAR)
    assert stored.images["s1"][0, :, 0, 0].tolist() == pytest.approx([-20, -10])
    path = _sentinel(root, "2018-01", power, "sentinel1")
    with pytest.raises(DataError, match=rf"{path.name}.*s1_unit=linear"):
        _open("dyna_mm", root, L2A | RADAR)[0]
    (linear,) = _open("dyna_mm", root, L2A | RADAR | {"s1_unit": "linear"})
    torch.testing.assert_close(linear.images["s1"], stored.images["s1"])


@pytest.mark.usefixtures("short")
def test_a_month_without_a_composite_gets_its_neighbours(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        _label(tmp_path, month, cube=OTHER)
    path = _sentinel(tmp_path, "2018-02", _bands(12))
    folder = tmp_path / "sentinel2" / OTHER
    folder.mkdir()
    path.rename(folder / "anything_2018-02.tif")
    months = _open("dyna_s2", tmp_path, L2A, "val")
    assert [sample.days["s2"].tolist() for sample in months] == [[_day("2018-02-15")]] * 3
    assert months.split.source == "official cubes; 2 months have a neighbour's Sentinel images"
    (series,) = _open("dyna_s2", tmp_path, L2A | SERIES, "val")
    assert series.key == f"{OTHER}_0_0"
    assert series.images["s2"].shape == (3, 12, 4, 4)
    assert series.target.shape == (3, SIDE, SIDE)
    assert months.card.splits["val"] == 3
    assert _open("dyna_s2", tmp_path, L2A | SERIES, "val").card.splits["val"] == 1


@pytest.mark.usefixtures("short")
def test_more_gaps_than_are_known_are_a_broken_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tree, "MOST_GAPS", 1)
    for cube in (CUBE, facts.UNSEEN, LATER):
        for month in ("2018-01", "2018-02", "2018-03"):
            _label(tmp_path, month, cube=cube)
    _sentinel(tmp_path, "2018-01", _bands(12))
    with pytest.raises(MissingFilesError) as error:
        _open("dyna_s2", tmp_path, L2A)
    assert len(error.value.files) == 2 + 3 + 3
    assert f"sentinel2/…/{CUBE}/…2018-03….tif" in error.value.files


@pytest.mark.usefixtures("short")
def test_a_cube_that_the_publisher_lacks_is_left_out_and_others_are_missed(tmp_path: Path) -> None:
    for cube in (CUBE, facts.UNSEEN, LATER):
        for month in ("2018-01", "2018-02", "2018-03"):
            _label(tmp_path, month, cube=cube)
    for month in ("2018-01", "2018-02", "2018-03"):
        _planet(tmp_path, f"{month}-01")
        _planet(tmp_path, f"{month}-01", cube=LATER)
    samples = _open("dyna_pla", tmp_path)
    assert {key.split("_2018")[0] for key in samples.keys} == {CUBE, LATER}
    assert samples.split.source == f"ours: official cubes without {facts.UNSEEN}"
    of_53 = _open("dyna_pla", tmp_path, {"cubes": "53"})
    assert {key.split("_2018")[0] for key in of_53.keys} == {CUBE}
    assert of_53.card.splits["train"] == 3
    with pytest.raises(MissingFilesError) as error:
        _open("dyna_pla", tmp_path, {"dates": "weekly"})
    assert len(error.value.files) == 2 * 3 * 5
    (tmp_path / "labels" / f"{LATER}_10N").rename(tmp_path / "labels" / "x")
    with pytest.raises(MissingFilesError, match=f"labels/{LATER}"):
        _open("dyna_pla", tmp_path)


@pytest.mark.usefixtures("short")
def test_irregular_folders_of_the_release_are_read(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        _label(tmp_path, month, cube=OTHER)
        _planet(tmp_path, f"{month}-01", cube=OTHER)
    regular = tmp_path / "labels" / f"{OTHER}_10N"
    quad = regular / "Labels" / "Raster" / "10N-122W-40N-L3H-SR"
    odd = tmp_path / "dynamicearthnet_test_labels" / f"{OTHER}-10N" / "Raster" / quad.name
    odd.parent.mkdir(parents=True)
    quad.rename(odd)
    first = odd / f"{quad.name}-2018_01_01.tif"
    first.rename(odd / f"{quad.name}-2018-01-01.tif")
    (tmp_path / "planet.10N").mkdir()
    (tmp_path / "planet").rename(tmp_path / "planet.10N" / "planet")
    assert len(_open("dyna_pla", tmp_path, split="val")) == 3


@pytest.mark.usefixtures("short")
def test_official_lists_that_say_otherwise_are_reported(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        _label(tmp_path, month, cube=OTHER)
        _planet(tmp_path, f"{month}-01", cube=OTHER)
    lists = tmp_path / "dynnet_training_splits"
    lists.mkdir()
    line = "/reprocess-cropped/UTM-24000/10N/23E-188N/{0}/PF-SR /labels/{0}_10N/x.tif 2018-01\n"
    (lists / "val.txt").write_text(line.format(OTHER))
    assert len(_open("dyna_pla", tmp_path, split="val")) == 3
    (lists / "val.txt").write_text(line.format(OTHER) + line.format(CUBE))
    with pytest.raises(DataError, match=rf"val\.txt has {CUBE}.*report"):
        _open("dyna_pla", tmp_path, split="val")


def test_one_file_twice_is_an_error_and_a_loop_of_links_is_none(root: Path) -> None:
    _label(root, "2018-01")
    _planet(root, "2018-01-01")
    (root / "planet" / "up").symlink_to(root)
    assert len(_open("dyna_pla", root)) == 1
    (root / "planet" / "up").unlink()
    copy = root / "more" / CUBE / "PF-SR"
    copy.mkdir(parents=True)
    _planet(root, "2018-01-01").rename(copy / "2018-01-01.tif")
    _planet(root, "2018-01-01")
    with pytest.raises(DataError, match="both of cube 1311_3077_13 and 2018-01-01"):
        _open("dyna_pla", root)


def test_broken_files_are_named(root: Path) -> None:
    label, image = _label(root, "2018-01"), _planet(root, "2018-01-01")
    for path in (image, label):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=rf"{path.name} "):
            _open("dyna_pla", root)[0]
        path.write_bytes(whole)
    _tif(image, np.zeros((3, SIDE, SIDE), np.uint16))
    with pytest.raises(DataError, match=r"2018-01-01\.tif is 3 bands of 16 x 16.*expected 4"):
        _open("dyna_pla", root)[0]
    _planet(root, "2018-02-01")
    _planet(root, "2018-01-01")
    other = _label(root, "2018-02", IDS[:8, :8])
    with pytest.raises(DataError, match=rf"{other.name} is 7 bands of 8 x 8.*expected 7 of 16"):
        _open("dyna_pla", root)[1]


@pytest.mark.parametrize("moved", [{"west": 560_000.0}, {"zone": 32611}])
def test_an_image_of_another_place_is_an_error(root: Path, moved: dict[str, Any]) -> None:
    _label(root, "2018-01")
    path = _planet(root, "2018-01-01")
    _tif(path, np.zeros((4, SIDE, SIDE), np.uint16), **moved)
    with pytest.raises(DataError, match=r"2018-01-01\.tif does not lie where its label does"):
        _open("dyna_pla", root)[0]


def test_a_day_that_does_not_exist_is_an_error(root: Path) -> None:
    _label(root, "2018-13")
    folder = root / "sentinel2" / CUBE
    folder.mkdir(parents=True)
    (folder / "2018-13.tif").write_bytes(b"")
    with pytest.raises(DataError, match=r"2018-13\.tif has no date in its name"):
        _open("dyna_s2", root, L2A)


def test_the_three_demos_have_the_same_samples(tmp_path: Path) -> None:
    opened = {}
    for name in ("dyna_pla", "dyna_s2", "dyna_mm"):
        registry.load("datasets", name).write_demo(tmp_path / name)
        opened[name] = _open(name, tmp_path / name, split="test", tile=64)
    first, second, both = opened.values()
    assert first.keys == second.keys == both.keys
    assert len(first) == 2 * 6 * 4
    for index in (0, -1):
        assert torch.equal(first[index].target, second[index].target)
        assert torch.equal(first[index].images["hr"], both[index].images["hr"])
        assert torch.equal(first[index].target, both[index].target)
        assert both[index].images["s1"].shape == (1, 2, 16, 16)
    series = _open("dyna_s2", tmp_path / "dyna_s2", SERIES)
    assert len(series) == 6
    for sample in series:
        assert (sample.target[1:] != sample.target[:-1]).any()
        assert sample.images["s2"].shape == (6, 12, 32, 32)
    assert series[0].days["s2"].diff().tolist()[2] == 0  # April has March's image
