from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.data import simulation


@pytest.fixture
def isaid() -> ModuleType:
    return registry.load("datasets", "isaid")


def _write(root: Path, isaid: ModuleType, masks: str, height: int = 40, width: int = 70) -> None:
    """One image a part; its mask has all 16 colours in stripes."""
    table = np.asarray(list(isaid.COLOURS.values()), np.uint8)
    ids = np.arange(width) % 16 + np.zeros((height, 1), int)
    for part, name in (("train", "P0001"), ("val", "P0002")):
        for folder in ("images", masks):
            (root / part / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (1, 2, 3)).save(root / part / "images" / f"{name}.png")
        path = root / part / masks / f"{name}_instance_color_RGB.png"
        Image.fromarray(table[ids]).save(path)


@pytest.mark.parametrize("masks", ["Semantic_masks/images", "Semantic_masks", "images"])
def test_masks_are_found_in_each_place_and_colours_are_the_table(
    isaid: ModuleType, tmp_path: Path, masks: str
) -> None:
    _write(tmp_path / "iSAID", isaid, masks)
    (tile,) = isaid.open(tmp_path, "val", 70)
    assert tile.key == "P0002_0_0"
    assert tile.target[5, :32].tolist() == [*range(16), *range(16)]
    assert (tile.target[40:] == 255).all()
    assert not isaid.open(tmp_path, "val").split.demo


def test_tiles_are_896_with_an_overlap_of_384_and_others_in_proportion(
    isaid: ModuleType, tmp_path: Path
) -> None:
    _write(tmp_path, isaid, "images", 1000, 1500)
    keys = isaid.open(tmp_path, "train").keys
    assert keys == tuple(f"P0001_{y}_{x}" for y in (0, 104) for x in (0, 512, 604))
    small = isaid.open(tmp_path, "train", 224)  # stride 128
    assert [k for k in small.keys if k.startswith("P0001_0_")][:3] == [
        f"P0001_0_{x}" for x in (0, 128, 256)
    ]


def test_an_image_without_a_mask_is_named(isaid: ModuleType, tmp_path: Path) -> None:
    _write(tmp_path, isaid, "images")
    Image.new("RGB", (9, 9)).save(tmp_path / "val" / "images" / "P0009.png")
    with pytest.raises(DataError, match=r"P0009\.png has no mask; expected .*Semantic_masks"):
        isaid.open(tmp_path, "val")


def test_the_withheld_test_split_is_unknown(isaid: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no split 'test'\. Known: train, val\."):
        isaid.open(tmp_path, "test")


def test_a_wrong_tree_shows_the_right_one(isaid: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"it holds val/\. Expected:\nisaid/\n  train/images"):
        isaid.open(tmp_path, "train")


def test_the_demo_has_objects_of_eight_classes_in_each_part(
    isaid: ModuleType, tmp_path: Path
) -> None:
    isaid.write_demo(tmp_path)
    for split in ("train", "val"):
        tiles = isaid.open(tmp_path, split, 224)
        seen = {int(v) for tile in tiles for v in tile.target.unique()}
        names = {isaid.CARD.classes[v] for v in seen - {255}}
        assert len(names) >= 9
        assert {"background", "ship", "plane", "Small_Vehicle", "store_tank"} <= names
        assert tiles.split.demo
    assert (tmp_path / simulation.MARKER).is_file()
