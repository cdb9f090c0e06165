"""A user's own images that are smaller than the usual tile, and COCO's usual places of images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from skybench.core import DataError, registry
from skybench.plan.planner import Planner
from skybench.plan.request import Request

MASKS = 'classes = ["land", "water"]\n'


@pytest.fixture
def folder() -> ModuleType:
    return registry.load("datasets", "folder")


def image(path: Path, size: tuple[int, int], mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 1 if mode == "L" else (9, 9, 9)).save(path)


def masked(root: Path, text: str = "", **sizes: tuple[int, int]) -> Path:
    """Images and masks in train/ and test/; sizes as train_a=(width, height)."""
    for name, size in sizes.items():
        group, stem = name.split("_")
        image(root / group / "images" / f"{stem}.png", size)
        image(root / group / "masks" / f"{stem}.png", size, "L")
    (root / "skybench.toml").write_text(MASKS + text)
    return root


@pytest.mark.parametrize(
    ("train", "test", "side"),
    [
        ((64, 64), (64, 64), 64),
        ((8, 6), (5, 5), 32),  # 32 at least
        ((65, 20), (64, 64), 96),
        ((64, 64), (64, 100), 128),  # the splits agree, and height counts like width
        ((64, 64), (480, 64), 480),
        ((64, 64), (481, 64), 512),
        ((64, 64), (600, 64), 512),
    ],
)
def test_a_tile_is_no_larger_than_the_images_need(
    folder: ModuleType, tmp_path: Path, train: tuple[int, int], test: tuple[int, int], side: int
) -> None:
    masked(tmp_path, train_a=train, test_a=test)
    for split in ("train", "test"):
        tiles = folder.open(tmp_path, split)
        assert tiles[0].images["hr"].shape[-2:] == (side, side)
        assert tiles[0].target.shape == (side, side)
        assert tiles.card.tile == side
    assert folder.open(tmp_path, "train", 512)[0].target.shape == (512, 512)


def test_the_recipe_of_a_cell_has_the_small_tile(tmp_path: Path) -> None:
    masked(tmp_path, train_a=(64, 64), test_a=(64, 64))
    asked = Request(
        models=("rcf",), tasks=("semantic_segmentation",), datasets=(f"folder:{tmp_path}",)
    )
    sides = [(), (("tile", "96"),)]
    cells = [Planner(replace(asked, overrides=dict(side))).cells()[0] for side in sides]
    assert [(c.recipe.tile, c.splits["test"].card.tile) for c in cells] == [(64, 64), (96, 96)]
    assert cells[0].fingerprint != cells[1].fingerprint
    image(tmp_path / "val" / "images" / "a.png", (600, 64))
    image(tmp_path / "val" / "masks" / "a.png", (600, 64), "L")
    (large,) = Planner(asked).cells()
    assert (large.recipe.tile, large.splits["test"].card.tile) == (0, 512)
    assert large.fingerprint != cells[0].fingerprint


def test_images_in_no_split_do_not_count(folder: ModuleType, tmp_path: Path) -> None:
    splits = '[splits]\ntrain = ["train"]\ntest = ["test"]\n'
    masked(tmp_path, splits, train_a=(64, 64), test_a=(40, 40), other_a=(600, 600))
    assert folder.open(tmp_path, "train").card.tile == 64


def test_series_and_boxes_get_small_tiles_too(folder: ModuleType, tmp_path: Path) -> None:
    root = tmp_path / "pairs"
    for split in ("train", "test"):
        for year in (2019, 2020):
            image(root / split / "images" / "a" / f"{year}-07-15.png", (70, 30))
        image(root / split / "masks" / "a.png", (70, 30), "L")
    (root / "skybench.toml").write_text(f"{MASKS}change = true\n")
    assert folder.open(root, "train")[0].images["hr"].shape == (2, 3, 96, 96)
    boxes = listed(tmp_path / "boxes", {"a.png": "train", "b.png": "test"})
    image(boxes / "a.png", (64, 64))
    image(boxes / "b.png", (50, 120))
    for split in ("train", "test"):
        tiles = folder.open(boxes, split)
        assert (tiles[0].images["hr"].shape, tiles[0].target.size) == ((1, 3, 128, 128), (128, 128))
        assert tiles.card.tile == 128
        assert tiles.cut.overlap == 25


def listed(root: Path, images: dict[str, str], where: str = "annotations/all.json") -> Path:
    """A description and a list in COCO's form of images, each of a split, with a car each."""
    content = {
        "images": [
            {"id": n, "file_name": name, "split": split}
            for n, (name, split) in enumerate(images.items())
        ],
        "annotations": [
            {"image_id": n, "category_id": 1, "bbox": [2, 3, 9, 8]} for n in range(len(images))
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    (root / where).parent.mkdir(parents=True, exist_ok=True)
    (root / where).write_text(json.dumps(content))
    (root / "skybench.toml").write_text(f'boxes = "{where}"\n')
    return root


@pytest.mark.parametrize(
    "place", ["", "images/", "train/", "images/train/", "train/images/", "images/x/"]
)
@pytest.mark.parametrize("where", ["annotations/all.json", "boxes.json"])
def test_coco_names_may_be_relative_to_the_images(
    folder: ModuleType, tmp_path: Path, place: str, where: str
) -> None:
    name = "x/0.png" if place == "images/x/" else "0.png"
    listed(tmp_path, {name: "train"}, where)
    image(tmp_path / place / "0.png", (40, 40))
    tiles = folder.open(tmp_path, "train")
    assert set(tiles.files) == {tmp_path / place / "0.png"}
    assert tiles.keys == (f"{place.replace('/', '-')}0_1.0_0_0",)
    assert len(tiles[0].target.labels) == 1


def test_one_name_in_two_splits_is_two_images(folder: ModuleType, tmp_path: Path) -> None:
    root = listed(tmp_path, {"0.png": "train", "./0.png": "test"})
    for split in ("train", "test"):
        image(root / "images" / split / "0.png", (40, 40))
    found = {s: set(folder.open(root, s).files) for s in ("train", "test")}
    assert found == {s: {root / "images" / s / "0.png"} for s in ("train", "test")}


def test_a_name_that_fits_two_images_is_refused(folder: ModuleType, tmp_path: Path) -> None:
    listed(tmp_path, {"0.png": "train"})
    image(tmp_path / "images" / "0.png", (40, 40))
    image(tmp_path / "train" / "0.png", (40, 40))
    with pytest.raises(DataError, match=r"0\.png, which .*all\.json lists, may be images/0\.png"):
        folder.open(tmp_path, "train")
    image(tmp_path / "0.png", (40, 40))  # as the list has it
    assert set(folder.open(tmp_path, "train").files) == {tmp_path / "0.png"}


def test_where_a_missing_image_was_looked_for_is_said(folder: ModuleType, tmp_path: Path) -> None:
    listed(tmp_path, {"0.png": "train"})
    image(tmp_path / "masks" / "0.png", (40, 40))  # not taken for the image
    with pytest.raises(DataError) as caught:
        folder.open(tmp_path, "train")
    said = str(caught.value)
    assert f"is not there; looked in {tmp_path} and, below it, in images, " in said
    assert "train, images/train, train/images. Get the image" in said


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("../own.png", "train"),
        ("images/../../own.png", "train"),
        ("own.png", "../"),
        ("link.png", "train"),
        ("far/own.png", "train"),
        ("", "train"),
        ("\0", "train"),
        ("0" * 5000, "train"),
    ],
)
def test_no_name_leads_out_of_the_folder(
    folder: ModuleType, tmp_path: Path, name: str, split: str
) -> None:
    image(tmp_path / "own.png", (40, 40))
    root = listed(tmp_path / "data", {name: split})
    (root / "images").mkdir()
    (root / "images" / "link.png").symlink_to(tmp_path / "own.png")
    (root / "far").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"all\.json"):
        folder.open(root, split)
    listed(root, {str(tmp_path / "own.png"): "train"})
    with pytest.raises(DataError, match=r"own\.png, which .*all\.json lists, leads out of"):
        folder.open(root, "train")
