"""Texts of YOLO: upright and oriented boxes, polygons, data.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import CAR, FEW, boxes_by_image, opened, opens_or_says, picture, written

UPRIGHT = "0 0.25 0.416666667 0.25 0.166666667\n"  # CAR in 60 x 80 pixels
ORIENTED = "1 0.125 0.333333333 0.375 0.333333333 0.375 0.5 0.125 0.5\n"
POLYGON = "0 0.125 0.333333333 0.375 0.333333333 0.25 0.5\n"
NAMES = "names: [car, bus]\n"


def yolo(root: Path, text: str, yaml: str = NAMES) -> Path:
    """Two images for training and one for the test, one of each with this text."""
    for part, name in (("train", "a"), ("train", "b"), ("test", "c")):
        picture(root / "images" / part / f"{name}.jpg")
        if name != "b":
            written(root / "labels" / part / f"{name}.txt", text)
    written(root / "data.yaml", yaml)
    return root


@pytest.mark.parametrize(
    "yaml",
    [
        NAMES,
        "names: {0: car, 1: bus}\nnc: 2\n",
        "path: ../datasets/mine\ntrain: images/train\nval:\ntest: images/test\n" + NAMES,
        "train: ../images/train\ntest: /home/me/mine/images/test\n" + NAMES,
        "train: [images/train]\ntest: [./images/test]\n" + NAMES,
    ],
)
def test_upright_boxes(tmp_path: Path, yaml: str) -> None:
    yolo(tmp_path, UPRIGHT, yaml)
    train, test = opened(tmp_path), opened(tmp_path, "test")
    assert boxes_by_image(train) == {"train-a": [("car", CAR)], "train-b": []}
    assert boxes_by_image(test) == {"test-c": [("car", CAR)]}
    assert train.card.tasks == ("horizontal_detection",)
    assert train.card.classes == ("car", "bus")
    assert "1 x image has no text, so no object: b.jpg" in train.notes
    assert {p.name for p in train.label_files or ()} == {"data.yaml", "a.txt", "c.txt"}


def test_oriented_boxes(tmp_path: Path) -> None:
    samples = opened(yolo(tmp_path, ORIENTED))
    assert samples.card.tasks == ("oriented_detection",)
    assert boxes_by_image(samples)["train-a"] == [("bus", CAR)]


def test_polygons_have_upright_boxes_and_are_told(tmp_path: Path) -> None:
    samples = opened(yolo(tmp_path, POLYGON + ORIENTED + UPRIGHT))
    assert samples.card.tasks == ("horizontal_detection",)
    assert boxes_by_image(samples)["train-a"] == [("car", CAR), ("bus", CAR), ("car", CAR)]
    assert any("polygons" in note for note in samples.notes)


def test_exports_by_part_and_texts_beside_images(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / part / "images" / "a.jpg")
        written(tmp_path / part / "labels" / "a.txt", UPRIGHT)
    written(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\n" + NAMES)
    assert boxes_by_image(opened(tmp_path)) == {"train-a": [("car", CAR)]}
    assert boxes_by_image(opened(tmp_path, "test")) == {"valid-a": [("car", CAR)]}
    beside = tmp_path / "beside"
    for number in range(5):
        picture(beside / f"{number}.jpg")
        written(beside / f"{number}.txt", UPRIGHT)
    written(beside / "classes.txt", "car\nbus\n")
    assert len(opened(beside)) == 3
    flat = tmp_path / "flat"  # images in one folder, texts in one for each part
    for part in ("train", "test"):
        picture(flat / "images" / f"{part}.jpg")
        written(flat / "labels" / part / f"{part}.txt", UPRIGHT)
    written(flat / "classes.txt", "car\nbus\n")
    assert boxes_by_image(opened(flat, "test")) == {"test": [("car", CAR)]}
    darknet = tmp_path / "darknet"
    written(darknet / "obj.names", "car\nbus\n")
    for part in ("train", "valid"):
        picture(darknet / f"obj_{part}_data" / "a.jpg")
        written(darknet / f"obj_{part}_data" / "a.txt", UPRIGHT)
    assert boxes_by_image(opened(darknet, "test")) == {"obj_valid_data-a": [("car", CAR)]}


def test_a_described_folder_of_texts(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png")
        written(tmp_path / "labelTxt" / f"{number}.txt", ORIENTED)
    toml = written(tmp_path / "skybench.toml", 'boxes = "labelTxt"\n')
    with pytest.raises(DataError, match="form of YOLO-OBB, whose classes are numbers"):
        opened(tmp_path)
    toml.write_text('boxes = "labelTxt"\nclasses = ["car", "bus"]\n')
    samples = opened(tmp_path)
    assert samples.card.tasks == ("oriented_detection",)
    assert next(iter(boxes_by_image(samples).values())) == [("bus", CAR)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt, line 1: class 2, but there are 2 names"),
        ("0 0.5 0.5 0.1", r"a\.txt, line 1: expected a class number"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"a\.txt, line 1: expected a class number"),
        ("0 0.5 0.5 nan 0.1", r"a\.txt, line 1: expected a class number"),
        ("0.5 0.5 0.5 0.1 0.1", r"a\.txt, line 1: expected a class number"),
        ("car 0.5 0.5 0.1 0.1", r"a\.txt, line 1: expected a class number"),
        ("0 40 30 20 10", r"a\.txt, line 1: .* in pixels"),
        ("0 0.5 0.5 -0.1 0.1", r"a\.txt, line 1: width or height is below 0"),
        ("0 1.4 0.5 0.1 0.1", r"a\.txt, line 1 lies outside of its image"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, what: str) -> None:
    yolo(tmp_path, UPRIGHT)
    written(tmp_path / "labels" / "train" / "a.txt", text)
    with pytest.raises(DataError, match=what):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("yaml", "what"),
    [
        ("names: {1: car, 2: bus}", "without gaps"),
        ("names: car", "expected a list"),
        ("names: [car, [1]]", "expected a list"),
        ("names: [", "no YAML"),
        ("names: !!python/object/apply:os.getcwd []", "no YAML"),
        ("train: nowhere\n" + NAMES, "which is not in"),
        ("train: 3\n" + NAMES, "expected a path"),
        ("train: images/train\nval: images/train\n" + NAMES, "in train and in val"),
    ],
)
def test_a_bad_yaml_is_named(tmp_path: Path, yaml: str, what: str) -> None:
    with pytest.raises(DataError, match=what):
        opened(yolo(tmp_path, UPRIGHT, yaml))


def test_texts_and_images_without_partner_are_told(tmp_path: Path) -> None:
    yolo(tmp_path, UPRIGHT)
    written(tmp_path / "labels" / "train" / "gone.txt", UPRIGHT)
    with pytest.raises(DataError, match=r"gone\.txt; and 1 images, as b\.jpg, have no text"):
        opened(tmp_path)
    written(tmp_path / "labels" / "train" / "b.txt", "")
    assert "1 x text with labels has no image: labels/train/gone.txt" in opened(tmp_path).notes
    for part in ("train", "test"):
        for text in (tmp_path / "labels" / part).iterdir():
            text.rename(text.with_stem("other"))
    with pytest.raises(DataError, match="has the name of an image"):
        opened(tmp_path)


@FEW
@given(st.text(max_size=60), st.lists(st.lists(st.floats() | st.integers(0, 3), max_size=10)))
def test_any_text_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str, lines: list[list[float]]
) -> None:
    root = tmp_path_factory.mktemp("yolo")
    yolo(root, UPRIGHT)
    numbers = "\n".join(" ".join(map(str, line)) for line in lines)
    for content in (text, numbers):
        written(root / "labels" / "train" / "a.txt", content)
        opens_or_says(root)
    written(root / "data.yaml", text + "\nnames: [a, b]\n")
    opens_or_says(root)


@FEW
@given(st.dictionaries(st.sampled_from(["path", "train", "val", "names"]), st.text(max_size=9)))
def test_any_yaml_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any]
) -> None:
    root = tmp_path_factory.mktemp("yolo")
    lines = "\n".join(f"{key}: {value}" for key, value in table.items())
    opens_or_says(yolo(root, UPRIGHT, f"names: [car]\n{lines}"))


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        ("path: C:\\mine\ntrain: images\\train\ntest: images\\test\n" + NAMES, UPRIGHT),
        ("names: {'0': car, '1': bus}\n", UPRIGHT),
        (NAMES, "0.0e+00 " + UPRIGHT[2:]),
    ],
)
def test_files_of_windows_and_of_numpy(tmp_path: Path, yaml: str, text: str) -> None:
    train = boxes_by_image(opened(yolo(tmp_path, text, yaml)))
    assert train == {"train-a": [("car", CAR)], "train-b": []}


def test_detections_are_no_annotations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.txt, line 1: expected a class number and center"):
        opened(yolo(tmp_path, UPRIGHT.strip() + " 0.93\n"))


def test_four_corners_are_told_to_be_boxes(tmp_path: Path) -> None:
    notes = opened(yolo(tmp_path, ORIENTED)).notes
    assert any("read as oriented boxes (YOLO-OBB)" in note for note in notes)
