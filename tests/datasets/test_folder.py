from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from skybench.core import REFLECTANCE, DataError, UsageError, registry
from skybench.data import simulation

DUBAI = """
root = "{root}"
ignore = [[0, 0, 0], [155, 155, 155]]
exclude = ["tile8/image_part_003"]
[classes]
building = [60, 16, 152]
land = [132, 41, 246]
road = [110, 193, 228]
vegetation = [254, 221, 58]
water = [226, 169, 41]
[splits]
train = ["tile[1-6]/*"]
val = ["tile7"]
test = ["tile8"]
[sensor]
bands = ["red", "green", "blue"]
"""


@pytest.fixture
def folder() -> ModuleType:
    return registry.load("datasets", "folder")


def _image(path: Path, size: tuple[int, int] = (8, 6), value: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 2, 3)).save(path)


def _mask(path: Path, ids: int = 0, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, ids).save(path)


def _pairs(root: Path, *keys: str) -> None:
    for key in keys:
        group, stem = key.rsplit("/", 1) if "/" in key else ("", key)
        _image(root / group / "images" / f"{stem}.jpg")
        _mask(root / group / "masks" / f"{stem}.png")


def _toml(root: Path, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "skybench.toml").write_text(text)
    return root


def test_class_folders_need_nothing_else(folder: ModuleType, tmp_path: Path) -> None:
    for name in ("town", "field"):
        for number in range(10):
            _image(tmp_path / name / f"{number}.png", value=100 if name == "town" else 50)
    parts = {split: folder.open(tmp_path, split) for split in ("train", "val", "test")}
    assert {s: len(p) for s, p in parts.items()} == {"train": 12, "val": 4, "test": 4}
    card = parts["train"].card
    assert (card.classes, card.tasks) == (("field", "town"), ("scene_classification",))
    assert card.title == f"folder {tmp_path.name}"
    for sample in parts["train"]:
        assert sample.target == int(sample.images["hr"][0, 0, 0, 0] == 100)
        assert sample.key.split("/")[0] == card.classes[sample.target]
    assert parts["val"].split.source == "ours: stratified 60/20/20 %, seed 0"


def test_folders_train_and_test_are_the_splits(folder: ModuleType, tmp_path: Path) -> None:
    for key in ("train/a/1.png", "train/b/2.png", "test/a/1.png"):
        _image(tmp_path / key)
    assert folder.open(tmp_path, "train").keys == ("train/a/1.png", "train/b/2.png")
    test = folder.open(tmp_path, "test")
    assert (test.card.classes, test.labels) == (("a", "b"), (0,))
    assert test.split.source == "rule: the folders train, val, test"
    with pytest.raises(UsageError, match=r"no split 'val'\. Known: train, test\."):
        folder.open(tmp_path, "val")


def test_pairs_with_stored_ids_are_cut_into_tiles(folder: ModuleType, tmp_path: Path) -> None:
    _toml(tmp_path, 'classes = ["land", "water"]\nignore = [7]\n')
    _image(tmp_path / "images" / "a.jpg", (20, 10))
    ids = np.tile(np.array([0, 1, 7, 255], np.uint8), (10, 5))
    (tmp_path / "masks").mkdir()
    Image.fromarray(ids).save(tmp_path / "masks" / "a.png")
    tiles = folder.open(tmp_path, "train", 16)
    assert tiles.keys == ("a_0_0", "a_0_4")
    assert tiles[0].target[0, :4].tolist() == [0, 1, 255, 255]
    assert (tiles[0].target[10:] == 255).all()
    assert tiles.card.tasks == ("semantic_segmentation",)
    assert folder.open(tmp_path, "train")[0].target.shape == (32, 32)


def test_groups_paths_and_patterns_make_the_splits(folder: ModuleType, tmp_path: Path) -> None:
    _pairs(tmp_path, "n/a", "n/b", "s/a", "s/b", "w/x/a")
    _toml(
        tmp_path,
        'classes = ["land"]\nexclude = ["s/a"]\n[splits]\n'
        'train = ["n"]\ntest = ["s/images/*.jpg", "w/x/a"]\n',
    )
    keys = {s: [k[:-4] for k in folder.open(tmp_path, s, 8).keys] for s in ("train", "test")}
    assert keys == {"train": ["n/a", "n/b"], "test": ["s/b", "w/x/a"]}


def test_a_description_may_lie_elsewhere(folder: ModuleType, tmp_path: Path) -> None:
    _image(tmp_path / "data" / "a" / "1.png")
    _image(tmp_path / "data" / "b" / "1.png")
    _toml(tmp_path / "about", 'root = "../data"\nclasses = ["b", "a"]\n[splits]\nall = ["*"]\n')
    samples = folder.open(tmp_path / "about" / "skybench.toml", "all")
    assert samples.keys == ("a/1.png", "b/1.png")
    assert samples.labels == (1, 0)
    assert samples.split.source == "list of the folder: skybench.toml"


def test_other_sensors_are_read_as_described(folder: ModuleType, tmp_path: Path) -> None:
    bands = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8) + 9000
    (tmp_path / "a").mkdir()
    where = rasterio.Affine(10, 0, 500000, 0, -10, 0)
    path = tmp_path / "a" / "1.tif"
    with rasterio.open(path, "w", "GTiff", 8, 6, 4, "EPSG:32632", where, "uint16") as raster:
        raster.write(bands)
    _toml(
        tmp_path,
        '[sensor]\nname = "s2"\nbands = ["blue", "green", "red", "nir"]\ngsd = 10\n'
        'unit = "reflectance x 1e4"\n[splits]\ntrain = ["a/*"]\n',
    )
    samples = folder.open(tmp_path, "train")
    (sensor,) = samples.card.sensors
    found = (sensor.name, sensor.bands, sensor.gsd, sensor.unit)
    assert found == ("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)
    assert torch.equal(samples[0].images["s2"][0], torch.from_numpy(bands.astype(np.int32)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes = [", "no usable description"),
        ('clases = ["a"]', "unknown key 'clases'; known: .*boxes, change, classes"),
        ("[classes]\na = [1, 2]", "no usable description"),
        ("[classes]\na = [1, 2, 300]", "is no colour"),
        ('[sensor]\nbands = ["red"]\nunit = "nits"', "unit 'nits' of sensor is not known; known"),
        ("[sensor]\ngsd = 3", "sensor has no 'bands'"),
        ('classes = ["a"]\n[splits]\ntrain = "n"', "train is 'n'; expected a list"),
        ('classes = ["a"]\n[splits]\ntrain = ["m"]', r"'m', listed for .* group \(n, s\)"),
        ('classes = ["a"]\n[splits]\ntrain = ["n"]\ntest = ["*/a"]', "n/a is in split 'train' and"),
        ("", "nothing names their classes"),
    ],
)
def test_a_description_that_does_not_fit_is_explained(
    folder: ModuleType, tmp_path: Path, text: str, message: str
) -> None:
    _pairs(tmp_path, "n/a", "s/a")
    with pytest.raises(DataError, match=message):
        folder.open(_toml(tmp_path, text), "train")


@pytest.mark.parametrize(("kind", "name"), [("images", "x.jpg"), ("masks", "x.png")])
def test_a_lone_image_or_mask_is_named_unless_excluded(
    folder: ModuleType, tmp_path: Path, kind: str, name: str
) -> None:
    _pairs(tmp_path, "n/a", "n/b", "n/c")
    _image(tmp_path / "n" / kind / name)
    with pytest.raises(DataError, match=rf"{kind}/{name} has no partner"):
        folder.open(_toml(tmp_path, 'classes = ["a"]'), "train")
    folder.open(_toml(tmp_path, 'classes = ["a"]\nexclude = ["n/x"]'), "train")


def test_two_images_of_one_stem_are_named(folder: ModuleType, tmp_path: Path) -> None:
    _pairs(tmp_path, "n/a")
    _image(tmp_path / "n" / "images" / "a.png")
    with pytest.raises(DataError, match=r"a occurs twice in .*images: a\.jpg, a\.png"):
        folder.open(_toml(tmp_path, 'classes = ["a"]'), "train")


def test_ids_out_of_range_and_sizes_that_differ_are_errors(
    folder: ModuleType, tmp_path: Path
) -> None:
    _pairs(tmp_path, "train/a")
    _toml(tmp_path, 'classes = ["a", "b"]')
    _mask(tmp_path / "train" / "masks" / "a.png", 3)
    with pytest.raises(DataError, match=r"a\.png holds the class ids 3 \(48 pixels\)"):
        folder.open(tmp_path, "train")[0]
    _mask(tmp_path / "train" / "masks" / "a.png", 0, (9, 6))
    with pytest.raises(DataError, match="another release"):
        folder.open(tmp_path, "train")


def test_folders_that_do_not_fit_are_explained(folder: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="your folder was not found: there is no"):
        folder.open(tmp_path / "absent", "train")
    with pytest.raises(DataError, match=r"it holds nothing\. Expected:"):
        folder.open(tmp_path, "train")
    _image(tmp_path / "a" / "1.png")
    with pytest.raises(UsageError, match="cannot be cut into tiles"):
        folder.open(tmp_path, "train", 64)
    with pytest.raises(DataError, match=r"has a folder 'a'; its skybench\.toml knows .* b"):
        folder.open(_toml(tmp_path, 'classes = ["b"]'), "train")


def test_a_loop_of_links_does_not_hang(folder: ModuleType, tmp_path: Path) -> None:
    _pairs(tmp_path, "train/a")
    _toml(tmp_path, 'classes = ["a"]')
    (tmp_path / "train" / "loop").symlink_to(tmp_path)
    assert len(folder.open(tmp_path, "train")) == 1


def test_a_marked_folder_is_a_demo(folder: ModuleType, tmp_path: Path) -> None:
    _image(tmp_path / "train" / "a" / "1.png")
    assert not folder.open(tmp_path, "train").split.demo
    simulation.write_marker(tmp_path, "folder", 0)
    assert folder.open(tmp_path, "train").split.demo


def test_the_real_city_is_read_with_ten_lines(
    folder: ModuleType, shared: Path, tmp_path: Path
) -> None:
    about = tmp_path / "dubai.toml"
    about.write_text(DUBAI.format(root=shared / "realdata" / "dubai_mbrsc_seg"))
    tiles = {split: folder.open(about, split) for split in ("train", "val", "test")}
    images = {s: len({k.rsplit("_", 2)[0] for k in t.keys}) for s, t in tiles.items()}
    assert images == {"train": 54, "val": 9, "test": 8}
    assert not [k for k in tiles["test"].keys if "image_part_003" in k]
    first = sum(k.startswith("tile8/image_part_001_") for k in tiles["test"].keys)
    seen = {int(v) for i in range(first) for v in tiles["test"][i].target.unique()}
    assert seen <= {0, 1, 2, 3, 4, 255}
    assert len(seen) >= 4
