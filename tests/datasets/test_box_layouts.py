"""Folders whose images have boxes are recognised, and others are not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import FEW, car, coco, opened, picture, written

layouts: Any = importlib.import_module("skybench.datasets._readers.box_layouts")
YOLO = "0 0.5 0.5 0.1 0.1\n"
DOTA = "1 2 3 4 5 6 7 8 ship 0\n"
VOC = "<annotation></annotation>"
LAYOUTS: dict[str, tuple[str, str]] = {  # a file and its text -> what it is
    "labels/a.txt": (YOLO, "yolo"),
    "labels/train/a.txt": (YOLO, "yolo"),
    "train/labels/a.txt": (YOLO, "yolo"),
    "a.txt": (YOLO, "yolo"),
    "obj_train_data/a.txt": (YOLO, "yolo"),
    "labelTxt/a.txt": (DOTA, "dota"),
    "train/labelTxt-v1.5/labelTxt/a.txt": (DOTA, "dota"),
    "labels/b.txt": (f"\n\n{DOTA}", "dota"),
    "Annotations/a.xml": (VOC, "voc"),
    "train/a.xml": (VOC, "voc"),
    "annotations.xml": ("<annotations><image/></annotations>", "cvat"),
    "train/_annotations.csv": ("filename,width,height,class,xmin,ymin,xmax,ymax\n", "csv"),
    "boxes.csv": ("images/a.jpg,1,2,3,4,car\n", "csv"),
}


@pytest.mark.parametrize("name", [*LAYOUTS])
def test_forms_are_recognised(tmp_path: Path, name: str) -> None:
    text, form = LAYOUTS[name]
    picture(tmp_path / "images" / "a.jpg")
    written(tmp_path / name, text)
    assert layouts.recognise(tmp_path) == form


def test_coco_is_recognised_where_it_lies(tmp_path: Path) -> None:
    for number, name in enumerate(("a.json", "train/x.json", "annotations/instances_val.json")):
        coco(tmp_path / str(number) / name, [], [car()])
        assert layouts.recognise(tmp_path / str(number)) == "coco"


def geojson(root: Path) -> None:
    written(root / "a.geojson", "{}")
    picture(root / "a.tif")


def classes(root: Path) -> None:
    picture(root / "forest" / "a.jpg")
    written(root / "labels.csv", "file,class\nforest/a.jpg,forest\n")
    written(root / "labels.json", '{"forest": 0}')
    written(root / "data.yaml", "names: [forest]\n")
    written(root / "readme.txt", "Four classes of 200 images, 2019.\n")


def metadata(root: Path) -> None:
    picture(root / "forest" / "a.jpg")
    written(root / "meta.xml", "<metadata/>")
    written(root / "places.csv", "a.jpg,12.5,41.9\n")
    written(root / "places.geojson", "{}")


@pytest.mark.parametrize(
    ("make", "form"), [(geojson, "geojson"), (classes, None), (metadata, None)]
)
def test_other_files_are_no_boxes(
    tmp_path: Path, make: Callable[[Path], None], form: str | None
) -> None:
    make(tmp_path)
    assert layouts.recognise(tmp_path) == form
    assert layouts.recognise(tmp_path / "missing") is None


@FEW
@given(
    st.lists(st.sampled_from([*LAYOUTS, "data.yaml", "a.json", "x.csv", "b.geojson"]), max_size=4),
    st.text(max_size=30),
)
def test_any_folder_is_recognised_and_opened_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], text: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    picture(root / "images" / "a.jpg")
    for name in names:
        written(root / name, text)
    layouts.recognise(root)
    written(root / "skybench.toml", f'boxes = "{names[0]}"' if names else "")
    with pytest.raises(DataError) as told:
        opened(root)
    assert "Error(" not in str(told.value)
