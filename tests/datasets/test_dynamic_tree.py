"""Which files of the release belong to a cube, and what is said of those that are missing."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from skybench.core import DataError
from skybench.data.split_lists import MissingFilesError

from ._dynamic import (
    CUBE,
    L2A,
    LATER,
    OTHER,
    SERIES,
    SIDE,
    day_of,
    facts,
    numbered,
    opened,
    write_label,
    write_planet,
    write_sentinel,
)

_tree = importlib.import_module("skybench.datasets._readers.dynamic_tree")
_earth = importlib.import_module("skybench.datasets._readers.dynamic_earth")


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


@pytest.mark.usefixtures("short")
def test_a_month_without_a_composite_gets_its_neighbours(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        write_label(tmp_path, month, cube=OTHER)
    path = write_sentinel(tmp_path, "2018-02", numbered(12))
    folder = tmp_path / "sentinel2" / OTHER
    folder.mkdir()
    path.rename(folder / "anything_2018-02.tif")
    months = opened("dyna_s2", tmp_path, L2A, "val")
    assert [sample.days["s2"].tolist() for sample in months] == [[day_of("2018-02-15")]] * 3
    assert months.split.source == "official cubes; 2 months have a neighbour's Sentinel images"
    (series,) = opened("dyna_s2", tmp_path, L2A | SERIES, "val")
    assert series.key == f"{OTHER}_0_0"
    assert series.images["s2"].shape == (3, 12, 4, 4)
    assert series.target.shape == (3, SIDE, SIDE)
    assert months.card.splits["val"] == 3
    assert opened("dyna_s2", tmp_path, L2A | SERIES, "val").card.splits["val"] == 1


@pytest.mark.usefixtures("short")
def test_what_macos_leaves_beside_files_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "sentinel2" / OTHER
    folder.mkdir(parents=True)
    for month in ("2018-01", "2018-02", "2018-03"):
        composite = write_sentinel(tmp_path, month, numbered(12)).rename(folder / f"{month}.tif")
        for path in (composite, write_label(tmp_path, month, cube=OTHER)):
            path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    assert len(opened("dyna_s2", tmp_path, L2A, "val")) == 3


@pytest.mark.usefixtures("short")
def test_more_gaps_than_are_known_are_a_broken_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tree, "MOST_GAPS", 1)
    for cube in (CUBE, facts.UNSEEN, LATER):
        for month in ("2018-01", "2018-02", "2018-03"):
            write_label(tmp_path, month, cube=cube)
    write_sentinel(tmp_path, "2018-01", numbered(12))
    with pytest.raises(MissingFilesError) as error:
        opened("dyna_s2", tmp_path, L2A)
    assert len(error.value.files) == 2 + 3 + 3
    assert f"sentinel2/…/{CUBE}/…2018-03….tif" in error.value.files


@pytest.mark.usefixtures("short")
def test_a_cube_that_the_publisher_lacks_is_left_out_and_others_are_missed(tmp_path: Path) -> None:
    for cube in (CUBE, facts.UNSEEN, LATER):
        for month in ("2018-01", "2018-02", "2018-03"):
            write_label(tmp_path, month, cube=cube)
    for month in ("2018-01", "2018-02", "2018-03"):
        write_planet(tmp_path, f"{month}-01")
        write_planet(tmp_path, f"{month}-01", cube=LATER)
    samples = opened("dyna_pla", tmp_path)
    assert {key.split("_2018")[0] for key in samples.keys} == {CUBE, LATER}
    assert samples.split.source == f"ours: official cubes without {facts.UNSEEN}"
    of_53 = opened("dyna_pla", tmp_path, {"cubes": "53"})
    assert {key.split("_2018")[0] for key in of_53.keys} == {CUBE}
    assert of_53.card.splits["train"] == 3
    with pytest.raises(MissingFilesError) as error:
        opened("dyna_pla", tmp_path, {"dates": "weekly"})
    assert len(error.value.files) == 2 * 3 * 5
    (tmp_path / "labels" / f"{LATER}_10N").rename(tmp_path / "labels" / "x")
    with pytest.raises(MissingFilesError, match=f"labels/{LATER}"):
        opened("dyna_pla", tmp_path)


@pytest.mark.usefixtures("short")
def test_irregular_folders_of_the_release_are_read(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        write_label(tmp_path, month, cube=OTHER)
        write_planet(tmp_path, f"{month}-01", cube=OTHER)
    regular = tmp_path / "labels" / f"{OTHER}_10N"
    quad = regular / "Labels" / "Raster" / "10N-122W-40N-L3H-SR"
    odd = tmp_path / "dynamicearthnet_test_labels" / f"{OTHER}-10N" / "Raster" / quad.name
    odd.parent.mkdir(parents=True)
    quad.rename(odd)
    first = odd / f"{quad.name}-2018_01_01.tif"
    first.rename(odd / f"{quad.name}-2018-01-01.tif")
    (tmp_path / "planet.10N").mkdir()
    (tmp_path / "planet").rename(tmp_path / "planet.10N" / "planet")
    assert len(opened("dyna_pla", tmp_path, split="val")) == 3


@pytest.mark.usefixtures("short")
def test_official_lists_that_say_otherwise_are_reported(tmp_path: Path) -> None:
    for month in ("2018-01", "2018-02", "2018-03"):
        write_label(tmp_path, month, cube=OTHER)
        write_planet(tmp_path, f"{month}-01", cube=OTHER)
    lists = tmp_path / "dynnet_training_splits"
    lists.mkdir()
    line = "/reprocess-cropped/UTM-24000/10N/23E-188N/{0}/PF-SR /labels/{0}_10N/x.tif 2018-01\n"
    (lists / "val.txt").write_text(line.format(OTHER))
    assert len(opened("dyna_pla", tmp_path, split="val")) == 3
    (lists / "val.txt").write_text(line.format(OTHER) + line.format(CUBE))
    with pytest.raises(DataError, match=rf"val\.txt has {CUBE}.*report"):
        opened("dyna_pla", tmp_path, split="val")
