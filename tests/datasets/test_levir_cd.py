from __future__ import annotations

import hashlib
import importlib
import json
import math
import pickle
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.data import simulation
from skybench.data.split_lists import MissingFilesError

_pairs = importlib.import_module("skybench.datasets._readers.pairs")
Window = importlib.import_module("skybench.datasets._readers.decode").Window
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (2, 40, 50, 3), np.uint8)
CHANGED = (RNG.random((40, 50)) < 0.3).astype(np.uint8)


@pytest.fixture(scope="module")
def levir() -> ModuleType:
    return registry.load("datasets", "levir_cd")


@pytest.fixture(scope="module")
def simulated(levir: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("levir_cd")
    levir.write_demo(root)
    return root


def _pair(place: Path, name: str, label: NDArray[np.uint8] = CHANGED * 255) -> None:
    for folder, pixels in (("A", IMAGES[0]), ("B", IMAGES[1]), ("label", label)):
        (place / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / folder / name)


@pytest.mark.parametrize("nested", [False, True])
def test_both_layouts_are_read(levir: ModuleType, tmp_path: Path, nested: bool) -> None:
    for split in ("train", "val", "test"):
        place = tmp_path / "LEVIR-CD" / split if nested else tmp_path / "LEVIR-CD"
        _pair(place, f"{split}_1.png")
    (sample,) = levir.open(tmp_path, "test", 64)
    assert sample.key == "test_1_0_0"
    assert sample.images["hr"].shape == (2, 3, 64, 64)
    np.testing.assert_array_equal(sample.images["hr"][:, :, :40, :50], IMAGES.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(sample.target[:40, :50], CHANGED)
    assert (sample.target[40:] == 255).all()
    assert (sample.target[:, 50:] == 255).all()
    assert (sample.images["hr"][:, :, 40:] == 0).all()
    assert sample.days == {}
    assert math.isnan(sample.lonlat[0])


def test_endings_in_capitals_are_read_too(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path, "val_1.png")
    _pair(tmp_path, "val_2.PNG")
    assert levir.open(tmp_path, "val", 64).keys == ("val_1_0_0", "val_2_0_0")


def test_tiles_lie_side_by_side_and_cover_every_pixel_once(
    levir: ModuleType, tmp_path: Path
) -> None:
    _pair(tmp_path, "val_7.png")
    tiles = levir.open(tmp_path, "val", 16)
    assert tiles.keys == tuple(f"val_7_{y}_{x}" for y in (0, 16, 32) for x in (0, 16, 32, 48))
    mask = np.full((48, 64), 77, np.uint8)
    for tile in tiles:
        y, x = (int(v) for v in tile.key.split("_")[2:])
        mask[y : y + 16, x : x + 16] = tile.target
    np.testing.assert_array_equal(mask[:40, :50], CHANGED)
    assert (mask != 255).sum() == 40 * 50


def test_train_and_val_together_are_both_in_either_layout(
    levir: ModuleType, tmp_path: Path
) -> None:
    for layout, (train, val) in {
        "flat": ("train_1.png", "val_1.png"),
        "folders": ("train/1.png", "val/1.png"),
    }.items():
        for name in (train, val):
            part, _, file = name.rpartition("/")
            _pair(tmp_path / layout / part, file)
        found = {n: levir.open(tmp_path / layout, n, 64) for n in ("train", "val", "trainval")}
        assert found["trainval"].keys == (*found["train"].keys, *found["val"].keys)
        assert len(found["trainval"]) == 2
        assert found["trainval"].split.name == "trainval"


def test_the_counts_are_sixteen_tiles_an_image(levir: ModuleType) -> None:
    images = {"train": 445, "val": 64, "test": 128, "trainval": 445 + 64}
    assert levir.CARD.splits == {name: 16 * count for name, count in images.items()}
    assert (levir.CARD.tile, 1024 // levir.CARD.tile) == (256, 4)


@pytest.mark.parametrize("missing", ["A", "B", "label"])
def test_lone_files_are_named(levir: ModuleType, tmp_path: Path, missing: str) -> None:
    for number in (1, 2, 3):
        _pair(tmp_path, f"train_{number}.png")
    for number in (1, 3):
        (tmp_path / missing / f"train_{number}.png").unlink()
    with pytest.raises(MissingFilesError) as error:
        levir.open(tmp_path, "train", 64)
    assert error.value.files == (f"{missing}/train_1.png", f"{missing}/train_3.png")


def test_a_mask_with_another_value_is_an_error(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path, "train_1.png", CHANGED)  # 0 and 1 instead of 0 and 255
    with pytest.raises(DataError, match=r"label.train_1\.png holds colours that stand for no"):
        levir.open(tmp_path, "train", 64)[0]


def test_a_pair_of_other_sizes_is_an_error(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path, "train_1.png", CHANGED[:, :49] * 255)
    with pytest.raises(DataError, match=r"A.train_1\.png is 40 x 50 .*label.train_1\.png 40 x 49"):
        levir.open(tmp_path, "train", 64)


def test_a_truncated_image_is_named(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path, "train_1.png")
    path = tmp_path / "B" / "train_1.png"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"B.train_1\.png cannot be read"):
        levir.open(tmp_path, "train", 64)[0]


def test_an_empty_split_and_another_tree_are_errors(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path / "a", "train_1.png")
    with pytest.raises(DataError, match="split 'test' of LEVIR-CD is empty"):
        levir.open(tmp_path / "a", "test")
    (tmp_path / "b" / "A").mkdir(parents=True)
    with pytest.raises(DataError, match=r"it holds A/\. Expected:\nlevir_cd/"):
        levir.open(tmp_path / "b", "train")


@pytest.mark.parametrize("folder", [".", "splits"])
def test_the_published_coordinates_give_every_tile_its_place(
    levir: ModuleType, tmp_path: Path, shared: Path, folder: str
) -> None:
    source = shared / "realdata/official_splits/levir_cd/LEVIR_CD_name_coords.json"
    (tmp_path / folder).mkdir(exist_ok=True)
    shutil.copy(source, tmp_path / folder)
    table = json.loads(source.read_text())
    counts = {split: sum(n.startswith(split) for n in table) for split in ("train", "val", "test")}
    counts["trainval"] = counts["train"] + counts["val"]
    assert {split: 16 * count for split, count in counts.items()} == levir.CARD.splits
    assert len(source.read_bytes()) == levir.COORDINATES.size
    for name, (west, north, east, south) in table.items():
        assert -107 < west < east < -93, name  # Texas
        assert 25 < south < north < 37, name
    _pair(tmp_path, "train_1.png")
    _pair(tmp_path, "train_9999.png")
    known, unknown = levir.open(tmp_path, "train", 64)
    west, north, east, south = table["train_1.png"]
    assert known.lonlat == pytest.approx(((west + east) / 2, (north + south) / 2))
    assert math.isnan(unknown.lonlat[1])
    first = levir.open(tmp_path, "train", 25)[0].lonlat
    assert first[0] == pytest.approx(west + (east - west) / 4)
    assert first[1] == pytest.approx(north - (north - south) * 12.5 / 40)


def test_another_list_of_coordinates_is_refused(levir: ModuleType, tmp_path: Path) -> None:
    _pair(tmp_path, "train_1.png")
    (tmp_path / levir.COORDINATES.filename).write_text('{"train_1.png": [0, 1, 1, 0]}')
    with pytest.raises(DataError, match="not the published list of coordinates"):
        levir.open(tmp_path, "train")


def test_options_are_refused(levir: ModuleType, simulated: Path) -> None:
    with pytest.raises(UsageError, match="no option 'whole'"):
        levir.open(simulated, "train", whole="yes")


def _tif(path: Path, values: list[int]) -> Path:
    Image.fromarray(np.array([values], np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 0, 1], [0, 1, 0, 1]),
        ([1, 2, 1, 2], [0, 1, 0, 1]),
        ([0, 255, 255, 0], [0, 1, 1, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([2, 2, 2, 2], [1, 1, 1, 1]),
    ],
)
def test_masks_in_tiffs_of_every_spelling(
    tmp_path: Path, values: list[int], expected: list[int]
) -> None:
    path = _tif(tmp_path / "cm.tif", values)
    assert _pairs.read_change_mask(path, Window(0, 0, 1, 4)).tolist() == [expected]
    assert _pairs.read_change_mask(path, Window(0, 1, 1, 2)).tolist() == [expected[1:3]]


@pytest.mark.parametrize("values", [[1, 1, 1, 1], [0, 1, 2, 1], [0, 2, 2, 0], [0, 7, 0, 0]])
def test_masks_that_may_mean_either_are_refused(tmp_path: Path, values: list[int]) -> None:
    path = _tif(tmp_path / "cm.tif", values)
    with pytest.raises(DataError, match=r"cm\.tif holds the values"):
        _pairs.read_change_mask(path, Window(0, 0, 1, 4))


def test_torchgeo_reads_the_same_pairs(levir: ModuleType, simulated: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    for split, count in (("train", 14), ("val", 4), ("test", 8)):
        theirs, ours = datasets.LEVIRCD(simulated, split), levir.open(simulated, split, 128)
        assert len(theirs) == len(ours) == count
        names = [f"{Path(file['mask']).stem}_0_0" for file in theirs.files]
        for name, other in zip(names, theirs, strict=True):
            sample = ours[ours.keys.index(name)]
            assert torch.equal(other["image"], sample.images["hr"].float())
            assert torch.equal(other["mask"][0], sample.target.long())


def test_the_demo_changes_and_looks_different_at_each_date(
    levir: ModuleType, simulated: Path
) -> None:
    for split in levir.CARD.splits:
        for sample in levir.open(simulated, split, 128):
            assert 0.01 < (sample.target == 1).float().mean() < 0.4
            first, second = sample.images["hr"].float()
            assert (first - second).abs().mean() > 5
            assert not math.isnan(sample.lonlat[0])


def test_samples_survive_pickling(levir: ModuleType, simulated: Path) -> None:
    tiles = levir.open(simulated, "val", 64)
    again = pickle.loads(pickle.dumps(tiles))
    assert torch.equal(tiles[3].images["hr"], again[3].images["hr"])
    assert torch.equal(tiles[3].target, again[3].target)
    digest = hashlib.sha256(pickle.dumps(tiles.keys)).hexdigest()
    assert digest == hashlib.sha256(pickle.dumps(again.keys)).hexdigest()


def test_the_coordinates_are_brought_into_the_cache_and_found_there(
    levir: ModuleType, simulated: Path, shared: Path, tmp_path: Path
) -> None:
    from skybench.data import split_lists

    copy = shutil.copytree(simulated, tmp_path / "levir_cd")
    (copy / levir.COORDINATES.filename).unlink()
    (copy / simulation.MARKER).unlink()
    assert math.isnan(levir.open(copy, "test", 128)[0].lonlat[0])
    official = shared / "realdata" / "official_splits" / "levir_cd"
    with pytest.raises(DataError, match=r"none of the published lists.*name_coords\.json"):
        split_lists.fetch_lists("levir_cd", tmp_path / "levir_cd" / "A")
    (kept,) = split_lists.fetch_lists("levir_cd", official)
    try:
        assert kept == split_lists.lists_folder("levir_cd") / levir.COORDINATES.filename
        sample = levir.open(copy, "test", 128)[0]
        boxes = json.loads((official / kept.name).read_text())
        west, _, east, _ = boxes[f"{sample.key.rsplit('_', 2)[0]}.png"]
        assert west < sample.lonlat[0] < east
    finally:
        kept.unlink()  # the cache is shared among tests
