"""COCO's JSON of a user's own images: right, or one sentence that names the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skybench.core import DataError

from ._box_folders import (
    CAR,
    FEW,
    HEIGHT,
    JSON,
    WIDTH,
    boxes_by_image,
    car,
    coco,
    opened,
    opens_or_says,
    picture,
    written,
)

TRAIN = '[splits]\ntrain = ["*"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "a.png")
    written(tmp_path / "skybench.toml", f'boxes = "boxes.json"\n{TRAIN}')
    coco(tmp_path / "boxes.json", ["a.png"], [car()])
    return tmp_path


def test_a_box_without_bbox_has_the_bounds_of_its_segmentation(folder: Path) -> None:
    polygon = [[10, 20, 30, 20, 30, 30, 12, 28]]
    coco(folder / "boxes.json", ["a.png"], [car(bbox=None, segmentation=polygon)])
    samples = opened(folder)
    assert boxes_by_image(samples) == {"images-a": [("car", CAR)]}
    assert "annotation 1" in samples.notes[0]
    assert str(folder) not in samples.notes[0]
    runs = [10 * HEIGHT + 20, 10]  # column 10, rows 20 to 29, then 19 columns like it
    for _ in range(19):
        runs += [HEIGHT - 10, 10]
    rle = {"size": [HEIGHT, WIDTH], "counts": [*runs, HEIGHT * WIDTH - sum(runs)]}
    coco(folder / "boxes.json", ["a.png"], [{**car(segmentation=rle), "bbox": None}])
    assert boxes_by_image(opened(folder)) == {"images-a": [("car", CAR)]}


@pytest.mark.parametrize(
    ("box", "what"),
    [
        (car(image_id=9), "annotation 1, has image_id 9, but the file lists no such image"),
        (car(image_id="1"), "annotation 1, has image_id '1', but the image has the id 1"),
        (
            car(category_id=9),
            "annotation 1, has category_id 9, but the file lists no such category",
        ),
        (car(category_id=None), "annotation 1, has category_id None"),
        (car(bbox=[10, 10, -5, 20]), r"annotation 1, has the bbox \[10, 10, -5, 20\]"),
        (car(bbox=["1", 2, 3, 4]), "annotation 1, has the bbox"),
        (car(bbox=[1, 2, 3]), "annotation 1, has the bbox"),
        (car(bbox=[1, 2, 3, float("nan")]), "annotation 1, has the bbox"),
        (car(bbox=[1, 2, 3, 4, 0.5]), "annotation 1, has the bbox"),
        (car(bbox=[WIDTH + 5, 2, 3, 4]), "annotation 1 lies outside of its image a.png"),
        (car(bbox=None), "annotation 1, has neither a bbox nor a segmentation"),
        (car(bbox=None, segmentation={"size": [2, 2], "counts": [4]}), "annotation 1, has a mask"),
        (car(bbox=None, segmentation=[[1, 2, 3]]), "annotation 1, has a segmentation that is no"),
        (car(iscrowd="0"), "annotation 1, has iscrowd '0'"),
    ],
)
def test_a_bad_annotation_is_named(folder: Path, box: dict[str, Any], what: str) -> None:
    coco(folder / "boxes.json", ["a.png"], [box])
    with pytest.raises(DataError, match=what):
        opened(folder)


def test_categories_of_one_name_are_refused(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [car()], categories=("car", "car"))
    with pytest.raises(DataError, match="categories 1 and 2 are both called 'car'"):
        opened(folder)
    coco(folder / "boxes.json", ["a.png"], [car()], categories=("small-car", "Small car"))
    with pytest.raises(DataError, match="'small-car' and 'Small car', which would count as one"):
        opened(folder)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("../a.png", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("b.png", "is not there"),
        ("a\0.png", "leads out of"),
        ("a" * 400, "is no file name|is not there"),
    ],
)
def test_an_image_must_lie_in_the_folder(folder: Path, name: str, what: str) -> None:
    coco(folder / "boxes.json", [name], [car()])
    with pytest.raises(DataError, match=what):
        opened(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    outside = picture(folder.parent / f"{folder.name}_outside.png")
    (folder / "images" / "b.png").symlink_to(outside)
    coco(folder / "boxes.json", ["b.png"], [car()])
    with pytest.raises(DataError, match="leads out of"):
        opened(folder)


def test_sizes_of_the_file_must_be_those_of_the_images(folder: Path) -> None:
    picture(folder / "images" / "a.png", size=(HEIGHT // 2, WIDTH // 2))
    with pytest.raises(DataError, match=r"image 1, says that a.png is 80 x 60 .* is 40 x 30"):
        opened(folder)
    turned = Image.new("RGB", (HEIGHT, WIDTH))
    exif = turned.getexif()
    exif[0x0112] = 6  # the upright image is 80 x 60
    turned.save(folder / "images" / "a.jpg", exif=exif)
    coco(folder / "boxes.json", ["a.jpg"], [car()])
    assert boxes_by_image(opened(folder)) == {"images-a": [("car", CAR)]}


def test_crowds_are_regions_and_images_without_object_stay(folder: Path) -> None:
    picture(folder / "images" / "b.png")
    coco(folder / "boxes.json", ["a.png", "b.png"], [car(), car(iscrowd=1), car(category_id=2)])
    samples = opened(folder)
    assert samples.target(0).crowds.tolist() == [False, True, False]
    assert not samples.target(0).difficult.any()
    assert samples.class_counts() == {"car": 1, "bus": 1}
    assert len(samples.target(1).labels) == 0
    picture(folder / "images" / "c.png")
    assert "1 x image is in no list, and is left out: images/c.png" in opened(folder).notes


def test_flat_boxes_are_told_and_left_out(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [car(), car(bbox=[5, 5, 0, 3])])
    samples = opened(folder)
    assert boxes_by_image(samples) == {"images-a": [("car", CAR)]}
    told = [note for note in samples.notes if "without area" in note]
    assert told == ["1 x object without area is left out: boxes.json, annotation 2"]
    assert any("class 'bus' has no object" in note for note in samples.notes)


@pytest.mark.parametrize("described", [True, False])
def test_one_file_for_each_split(tmp_path: Path, described: bool) -> None:
    for part, label in (("train", 2), ("valid", 1), ("test", 1)):
        picture(tmp_path / part / "a.jpg")
        names = ("cars", "car") if part == "train" else ("car", "cars")
        coco(tmp_path / part / "_annotations.coco.json", ["a.jpg"], [car(category_id=label)], names)
    if described:
        written(tmp_path / "skybench.toml", 'boxes = "train/_annotations.coco.json"')
    for part in ("train", "val", "test"):
        samples = opened(tmp_path, part)
        assert samples.split.source == "rule: the folders train, val, test"
        (found,) = boxes_by_image(samples).values()
        assert found == [("car", CAR)]  # by name: ids differ between the files
    assert samples.card.classes == ("cars", "car")
    assert len(samples.label_files or ()) == 3


def test_the_category_that_an_export_adds_is_no_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        picture(tmp_path / part / "a.jpg")
        path = coco(tmp_path / part / "_annotations.coco.json", ["a.jpg"], [car()], ("car",))
        content = json.loads(path.read_text())
        content["categories"].insert(0, {"id": 0, "name": "cars"})
        path.write_text(json.dumps(content))
    samples = opened(tmp_path)
    assert samples.card.classes == ("car",)
    assert any("category 'cars' (id 0)" in note for note in samples.notes)


def test_files_in_annotations_name_the_parts(tmp_path: Path) -> None:
    for part in ("train2017", "val2017"):
        picture(tmp_path / "images" / part / "a.jpg")
        coco(tmp_path / "annotations" / f"instances_{part}.json", ["a.jpg"], [car()])
    train, test = opened(tmp_path), opened(tmp_path, "test")
    assert boxes_by_image(train) == {"images-train2017-a": [("car", CAR)]}
    assert boxes_by_image(test) == {"images-val2017-a": [("car", CAR)]}
    assert "no test image has labels, so those of val are the test split" in test.notes


def test_names_of_parts_are_taken_by_their_meaning(folder: Path) -> None:
    (folder / "skybench.toml").write_text('boxes = "boxes.json"')
    path = coco(folder / "boxes.json", ["a.png", "b.png"], [car()])
    picture(folder / "images" / "b.png")
    content = json.loads(path.read_text())
    for image, part in zip(content["images"], ("training", "validation"), strict=True):
        image["split"] = part
    path.write_text(json.dumps(content))
    assert opened(folder, "train").groups == ("images-a",)
    assert opened(folder, "test").groups == ("images-b",)
    content["images"][1]["split"] = "rest"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"b.png is of the part 'rest'"):
        opened(folder)


@FEW
@given(place=st.sampled_from(["images", "annotations", "categories"]), content=JSON, whole=JSON)
def test_any_json_gives_boxes_or_one_sentence(
    folder: Path, place: str, content: Any, whole: Any
) -> None:
    path = coco(folder / "boxes.json", ["a.png"], [car()])
    good = json.loads(path.read_text())
    for given_content in (whole, {**good, place: content}, {**good, place: [content]}):
        path.write_text(json.dumps(given_content))
        opens_or_says(folder)
    for key in (*good[place][0], "iscrowd", "segmentation", "split"):
        path.write_text(json.dumps({**good, place: [{**good[place][0], key: content}]}))
        opens_or_says(folder)


@pytest.mark.parametrize(
    "name",
    [r"images\a.png", "/home/me/a.png", r"C:\me\images\a.png", "https://h.org/x/a.png", "./a.png"],
)
def test_an_image_is_found_by_the_name_of_another_machine(folder: Path, name: str) -> None:
    coco(folder / "boxes.json", [name], [car()])
    assert boxes_by_image(opened(folder)) == {"images-a": [("car", CAR)]}


def test_an_image_beside_the_folder_of_its_list(folder: Path) -> None:
    coco(folder / "annotations" / "boxes.json", ["../images/a.png"], [car()])
    written(folder / "skybench.toml", f'boxes = "annotations/boxes.json"\n{TRAIN}')
    assert boxes_by_image(opened(folder)) == {"images-a": [("car", CAR)]}


@pytest.mark.parametrize("place", ["data", "images/default", "JPEGImages"])
def test_usual_folders_of_images(tmp_path: Path, place: str) -> None:
    picture(tmp_path / place / "a.png")
    written(tmp_path / "skybench.toml", f'boxes = "boxes.json"\n{TRAIN}')
    coco(tmp_path / "boxes.json", ["a.png"], [car()])
    assert [*boxes_by_image(opened(tmp_path)).values()] == [[("car", CAR)]]


def test_ids_and_sizes_as_tables_write_them(folder: Path) -> None:
    path = coco(folder / "boxes.json", ["a.png"], [car(image_id=1.0, category_id=2.0)])
    content = json.loads(path.read_text())
    content["images"][0] |= {"height": 0, "width": 0}
    content["categories"][1]["name"] = 7
    path.write_text(json.dumps(content))
    assert boxes_by_image(opened(folder)) == {"images-a": [("7", CAR)]}


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ([0.1, 0.2, 0.3, 0.5], "annotation 1: no coordinate of the 6 objects is above 1"),
        ([50, 20, 70, 30], "all 6 boxes of the file may be x1, y1, x2, y2"),
    ],
)
def test_boxes_of_another_form_are_refused(folder: Path, box: list[float], what: str) -> None:
    coco(folder / "boxes.json", ["a.png"], [car(bbox=box)] * 6)
    with pytest.raises(DataError, match=what):
        opened(folder)


def test_a_file_without_any_object_is_refused(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [])
    with pytest.raises(DataError, match="nothing to find"):
        opened(folder)
