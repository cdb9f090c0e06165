"""A user's own images with boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.core import DataError, registry
from skybench.core.dataset import Samples


def opened(root: Path, split: str = "train", tile: int = 0) -> Samples:
    samples: Samples = registry.load("datasets", "folder").open(root, split, tile)
    return samples


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Four images of 60 x 80 pixels with one to four cars and, in the first, a bus."""
    images, boxes = [], []
    for number in range(4):
        path = tmp_path / "air" / f"a{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((60, 80, 3), number, np.uint8)).save(path)
        split = "test" if number == 3 else "train"
        images.append({"id": 10 + number, "file_name": f"air/a{number}.png", "split": split})
        for box in range(number + 1):
            boxes.append(
                {"image_id": 10 + number, "category_id": 7, "bbox": [5 + 10 * box, 4, 8, 6]}
            )
    boxes.append({"image_id": 10, "category_id": 9, "bbox": [1, 30, 20, 10], "iscrowd": 1})
    categories = [{"id": 9, "name": "bus"}, {"id": 7, "name": "car"}]
    write(tmp_path, {"images": images, "annotations": boxes, "categories": categories})
    (tmp_path / "skybench.toml").write_text('boxes = "boxes.json"\n')
    return tmp_path


def write(root: Path, content: dict[str, Any]) -> None:
    (root / "boxes.json").write_text(json.dumps(content))


def test_coco_boxes_are_cut_into_tiles(coco: Path) -> None:
    train, test = opened(coco, "train", 100), opened(coco, "test", 100)
    assert train.card.tasks == ("horizontal_detection",)
    assert train.card.classes == ("car", "bus")  # in the order of their ids
    assert [len(s.target.labels) for s in train] == [2, 2, 3]
    assert [len(s.target.labels) for s in test] == [4]
    first = train[0].target
    assert first.labels.tolist() == [0, 1]
    assert first.crowds.tolist() == [False, True]
    assert first.corners[1].tolist() == [[1, 30], [21, 30], [21, 40], [1, 40]]
    assert first.size == (100, 100)
    assert train[1].images["hr"].shape == (1, 3, 100, 100)
    tiles = opened(coco, "train", 40)
    assert len(tiles) == 3 * 2 * 3  # 60 x 80 in tiles of 40 that overlap by 8
    moved = tiles.target(tiles.keys.index("air-a0_1.0_20_0"))
    assert moved.corners[0].tolist() == [[1, 10], [21, 10], [21, 20], [1, 20]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"categories": [{"id": 7}]}, "category 7, has no name"),
        ({"categories": 7}, "no annotation file in COCO's form"),
        ({"annotations": [{"image_id": 99, "category_id": 7, "bbox": [1, 2, 3, 4]}]}, "99"),
        (
            {"annotations": [{"image_id": 10, "category_id": 7, "bbox": [1, 2, 3]}]},
            r"annotation number 1 .*\[1, 2, 3\]",
        ),
        ({"images": [{"id": 10, "file_name": "air/b.png"}]}, r"b\.png, which boxes\.json lists"),
        ({"images": [{"id": i, "file_name": "air/a0.png"} for i in (1, 2)]}, "an image twice"),
    ],
)
def test_what_is_wrong_with_the_annotations_is_named(
    coco: Path, change: dict[str, Any], what: str
) -> None:
    write(coco, {**json.loads((coco / "boxes.json").read_text()), **change})
    with pytest.raises(DataError, match=what):
        opened(coco)


def test_dota_texts_give_oriented_boxes(tmp_path: Path) -> None:
    (tmp_path / "skybench.toml").write_text('boxes = "labels"\n[splits]\ntrain = ["x"]\n')
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "images" / "x.png")
    text = tmp_path / "labels" / "x.txt"
    text.write_text("imagesource:GoogleEarth\ngsd:0.3\n10 10 20 10 20 30 10 30 ship 1\n\n"
                    "30.5 30 40 35 38 40 28 35 plane 0\n")  # fmt: skip
    samples = opened(tmp_path, tile=50)
    assert samples.card.tasks == ("oriented_detection",)
    assert samples.card.classes == ("plane", "ship")
    target = samples[0].target
    assert target.labels.tolist() == [1, 0]
    assert target.difficult.tolist() == [True, False]
    expected = torch.tensor([[30.5, 30], [40, 35], [38, 40], [28, 35]])
    torch.testing.assert_close(target.corners[1], expected)
    text.write_text("10 10 20 10 20 30 10 30 ship\n1 2 3 ship\n")
    with pytest.raises(DataError, match=r"x\.txt, line 2: expected 8 numbers and a class"):
        opened(tmp_path)
    text.unlink()
    with pytest.raises(DataError, match="labels has no file with boxes"):
        opened(tmp_path)


def test_real_vehicles_are_read_by_sequence(shared: Path, tmp_path: Path) -> None:
    root = shared / "realdata" / "aerial_vehicles_hbb"
    description = tmp_path / "vehicles.toml"
    description.write_text(f'root = "{root}"\nboxes = "annotations_coco.json"\n')
    train, test = opened(description, "train"), opened(description, "test")
    assert train.card.classes == ("car", "truck", "bus", "minibus", "cyclist")
    files = [{key.split("_1.0_")[0] for key in part.keys} for part in (train, test)]
    assert (len(files[0]), len(files[1])) == (24, 9)
    assert files[0].isdisjoint(files[1])
    whole = opened(description, "train", 2048)  # every image in one tile
    assert len(whole) == 24
    rest = opened(description, "test", 2048)
    count = sum(len(part.target(i).labels) for part in (whole, rest) for i in range(len(part)))
    assert count == 1007
