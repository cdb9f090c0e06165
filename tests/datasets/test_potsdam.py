from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.data import simulation
from skybench.data.split_lists import MissingFilesError

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def potsdam() -> ModuleType:
    return registry.load("datasets", "potsdam")


def _write(root: Path, number: str, label: NDArray[np.uint8]) -> None:
    for folder, kind, pixels in (
        ("2_Ortho_RGB", "RGB", IMAGE),
        ("5_Labels_all_noBoundary", "label_noBoundary", label),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / folder / f"top_potsdam_{number}_{kind}.tif")


def _stripes(potsdam: ModuleType) -> tuple[NDArray[np.uint8], list[int]]:
    """A label whose columns run through all seven colours, and the ids of one row."""
    table = np.asarray([colour for colour, _ in potsdam.COLOURS.values()], np.uint8)
    columns = np.arange(60) % 7
    ids = [list(potsdam.COLOURS.values())[c][1] for c in columns]
    return table[columns + np.zeros((40, 1), int)], ids


def test_five_classes_are_scored_and_clutter_and_boundary_are_not(
    potsdam: ModuleType, tmp_path: Path
) -> None:
    label, ids = _stripes(potsdam)
    _write(tmp_path, "2_10", label)
    simulation.write_marker(tmp_path, "potsdam", 0)
    (tile,) = potsdam.open(tmp_path, "train", 60)
    assert tile.target[3].tolist() == ids
    assert set(ids) == {0, 1, 2, 3, 4, 255}
    np.testing.assert_array_equal(tile.images["hr"][0, :, :40], IMAGE.transpose(2, 0, 1))


def test_a_label_that_is_blended_with_its_image_is_still_read(
    potsdam: ModuleType, tmp_path: Path
) -> None:
    """As label 4_12 of the release, which exact comparison turns into nothing but 'ignore'."""
    label, ids = _stripes(potsdam)
    blend = (0.83 * label + 0.17 * IMAGE).round().astype(np.uint8)
    blend[0, :] = (252, 255, 0)  # as the cars of 6_7
    _write(tmp_path, "4_12", blend)
    simulation.write_marker(tmp_path, "potsdam", 0)
    (tile,) = potsdam.open(tmp_path, "train", 60)
    assert tile.target[0].tolist() == [4] * 60
    assert all(row.tolist() == ids for row in tile.target[1:40])


def test_a_colour_far_from_the_table_is_an_error(potsdam: ModuleType, tmp_path: Path) -> None:
    _write(tmp_path, "2_13", np.full((40, 60, 3), (255, 0, 255), np.uint8))
    simulation.write_marker(tmp_path, "potsdam", 0)
    with pytest.raises(DataError, match=r"2_13_label_noBoundary\.tif .*\(255, 0, 255\)"):
        potsdam.open(tmp_path, "test", 60)[0]


def test_the_tiles_of_the_contest_are_all_wanted(potsdam: ModuleType, tmp_path: Path) -> None:
    assert len(potsdam.TRAIN) == len(set(potsdam.TRAIN)) == 24
    assert len(potsdam.TEST) == len(set(potsdam.TEST)) == 14
    assert set(potsdam.TRAIN).isdisjoint(potsdam.TEST)
    assert potsdam.CARD.splits == {"train": 24 * 144, "test": 14 * 144}
    _write(tmp_path, "2_13", _stripes(potsdam)[0])
    with pytest.raises(MissingFilesError) as error:
        potsdam.open(tmp_path / "2_Ortho_RGB" / "..", "test")
    assert len(error.value.files) == 13


def test_tiles_may_share_half_a_side(potsdam: ModuleType, tmp_path: Path) -> None:
    _write(tmp_path, "2_10", _stripes(potsdam)[0])
    simulation.write_marker(tmp_path, "potsdam", 0)
    tiles = potsdam.open(tmp_path, "train", 20, overlap="half")
    assert tiles.keys == tuple(f"2_10_{y}_{x}" for y in (0, 10, 20) for x in (0, 10, 20, 30, 40))
    shown = IMAGE[10:30, 10:30].transpose(2, 0, 1)
    np.testing.assert_array_equal(tiles[6].images["hr"][0], shown)
    assert potsdam.open(tmp_path, "train", 20).keys == tuple(
        f"2_10_{y}_{x}" for y in (0, 20) for x in (0, 20, 40)
    )
    with pytest.raises(UsageError, match="no overlap=third"):
        potsdam.open(tmp_path, "train", 20, overlap="third")


@pytest.mark.parametrize(
    ("side", "overlap", "counts"),
    [(0, "none", (3456, 2016)), (600, "half", (8664, 5054))],  # mmsegmentation's and RVSA's
)
def test_published_counts_follow_the_tiles(
    potsdam: ModuleType, tmp_path: Path, side: int, overlap: str, counts: tuple[int, int]
) -> None:
    _write(tmp_path, "2_10", _stripes(potsdam)[0])
    simulation.write_marker(tmp_path, "potsdam", 0)
    card = potsdam.open(tmp_path, "train", side, overlap=overlap).card
    assert (card.splits["train"], card.splits["test"]) == counts


def test_the_demo_has_all_classes_in_each_split(potsdam: ModuleType, tmp_path: Path) -> None:
    potsdam.write_demo(tmp_path)
    for split, tiles in (("train", 48), ("test", 32)):
        samples = potsdam.open(tmp_path, split, 128)
        assert len(samples) == tiles
        assert {int(v) for s in samples for v in s.target.unique()} == {0, 1, 2, 3, 4, 255}
