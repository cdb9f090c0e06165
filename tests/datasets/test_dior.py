from __future__ import annotations

import importlib
import pickle
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.data.split_lists import MissingFilesError
from skybench.data.verify import verify_dataset

_boxes = importlib.import_module("skybench.datasets._readers.boxes")
UPRIGHT = "Annotations/Horizontal Bounding Boxes"
ROTATED = "Annotations/Oriented Bounding Boxes"
PLANE = ("airplane", (10, 20, 50, 40))


@pytest.fixture(scope="module")
def dior() -> ModuleType:
    return registry.load("datasets", "dior")


@pytest.fixture(scope="module")
def dior_r() -> ModuleType:
    return registry.load("datasets", "dior_r")


def _box(name: str, sides: tuple[Any, Any, Any, Any], more: str = "") -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name>{more}<bndbox>{inner}</bndbox></object>"


def _turned(name: str, corners: list[tuple[float, float]]) -> str:
    inner = "".join(
        f"<{x}>{a}</{x}><{y}>{b}</{y}>"
        for (x, y), (a, b) in zip(_boxes.ROTATED, corners, strict=True)
    )
    return f"<object><type>robndbox</type><name>{name}</name><robndbox>{inner}</robndbox></object>"


def _release(root: Path, annotations: str, *objects: str) -> Path:
    """One image a list, without the mark of simulated data; returns the training annotation."""
    for folder in ("ImageSets/Main", "JPEGImages-trainval", "JPEGImages-test", annotations):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for part, number in (("train", "00001"), ("val", "00002"), ("test", "11726")):
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text(f"{number}\n")
        images = "JPEGImages-test" if part == "test" else "JPEGImages-trainval"
        Image.new("RGB", (80, 60), (9, 8, 7)).save(root / images / f"{number}.jpg")
        text = f"<annotation>{''.join(objects)}</annotation>"
        (root / annotations / f"{number}.xml").write_text(text)
    return root / annotations / "00001.xml"


def test_upright_boxes_are_read_as_stored(dior: ModuleType, tmp_path: Path) -> None:
    hard = _box("Expressway-Service-area", (0, 0, 80, 60), "<difficult>1</difficult>")
    _release(tmp_path / "DIOR", UPRIGHT, _box(*PLANE), hard)
    (sample,) = dior.open(tmp_path, "train")
    assert sample.key == "00001"
    assert sample.images["hr"].shape == (1, 3, 60, 80)
    boxes = sample.target
    assert boxes.corners.dtype == torch.float32
    assert boxes.corners[0].tolist() == [[10, 20], [50, 20], [50, 40], [10, 40]]
    assert boxes.labels.tolist() == [0, 6]
    assert dior.CARD.classes[6] == "expressway-service-area"
    assert boxes.difficult.tolist() == [False, True]
    assert boxes.size == (60, 80)


def test_oriented_corners_are_read_as_stored(dior_r: ModuleType, tmp_path: Path) -> None:
    corners = [(30.5, 10.0), (50.0, 30.0), (40.0, 40.0), (20.5, 20.0)]
    _release(tmp_path, ROTATED, _turned("Ship", corners))
    (sample,) = dior_r.open(tmp_path, "test")
    assert sample.target.corners[0].tolist() == [list(point) for point in corners]
    assert sample.target.labels.tolist() == [dior_r.CARD.classes.index("ship")]


def test_the_class_order_is_that_of_skysense_and_mmrotate(
    dior: ModuleType, dior_r: ModuleType
) -> None:
    assert dior.CARD.classes == dior_r.CARD.classes
    assert len(set(dior.CARD.classes)) == 20
    assert dior.CARD.classes[6:9] == ("expressway-service-area", "expressway-toll-station", "dam")


def test_trainval_is_both_lists(dior: ModuleType, tmp_path: Path) -> None:
    _release(tmp_path, UPRIGHT, _box(*PLANE))
    assert dior.open(tmp_path, "trainval").keys == ("00001", "00002")
    assert not dior.open(tmp_path, "val").split.demo
    assert {f.level for f in verify_dataset("dior", tmp_path)} == {
        "ok",
        "error",
    }  # the counts differ


@pytest.mark.parametrize(
    ("sides", "kept"),
    [
        ((-5, -5, 20, 20), True),  # over the edge: stays, uncut
        ((70, 50, 300, 300), True),
        ((80, 0, 90, 10), False),  # touches the image from outside
        ((-20, -20, -1, -1), False),
        ((10, 10, 10, 30), False),  # no width
        ((10, 10, 30, 10), False),  # no height
        ((10, 10, 10, 10), False),
    ],
)
def test_boxes_outside_and_without_area_are_left_out(
    dior: ModuleType, tmp_path: Path, sides: tuple[int, int, int, int], kept: bool
) -> None:
    _release(tmp_path, UPRIGHT, _box("ship", sides), _box(*PLANE))
    target = dior.open(tmp_path, "train")[0].target
    assert len(target.labels) == len(target.corners) == len(target.difficult) == 1 + kept
    if kept:
        assert target.corners[0, 0].tolist() == list(sides[:2])


def test_four_corners_on_a_line_are_no_box(dior_r: ModuleType, tmp_path: Path) -> None:
    line = [(10.0, 10.0), (20.0, 20.0), (30.0, 30.0), (40.0, 40.0)]
    _release(tmp_path, ROTATED, _turned("ship", line))
    assert len(dior_r.open(tmp_path, "train")[0].target.labels) == 0


def test_an_image_without_objects_has_no_boxes(dior: ModuleType, tmp_path: Path) -> None:
    _release(tmp_path, UPRIGHT)
    target = dior.open(tmp_path, "train")[0].target
    assert target.corners.shape == (0, 4, 2)
    assert target.labels.dtype == torch.int64
    assert target.difficult.dtype == torch.bool
    assert target.size == (60, 80)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", r"cannot be read as an annotation \(no element|unclosed"),
        ("", "cannot be read as an annotation"),
        (f"<a>{_box('zeppelin', (1, 2, 3, 4))}</a>", "objects of the class 'zeppelin'; expected"),
        (f"<a>{_box('ship', (1, 2, 'x', 4))}</a>", "expected 4 corners"),
        (f"<a>{_box('ship', (1, 2, 'nan', 4))}</a>", "expected 4 corners"),
        ("<a><object><name>ship</name></object></a>", "an object without <bndbox>"),
        ("<a><object><name> </name><bndbox/></object></a>", "an object without <name>"),
        ("<a><object><name>ship</name><bndbox/></object></a>", "expected 4 corners"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "it has a DOCTYPE"),
    ],
)
def test_broken_annotations_are_named(
    dior: ModuleType, tmp_path: Path, text: str, message: str
) -> None:
    path = _release(tmp_path, UPRIGHT)
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        dior.open(tmp_path, "train")[0]
    assert "00001.xml" in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_grow(tmp_path: Path, encoding: str) -> None:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "ha">{entities}]><l>&a9;</l>'
    (tmp_path / "laughs.xml").write_text(text, encoding=encoding)
    with pytest.raises(DataError, match=r"laughs\.xml .*DOCTYPE"):
        _boxes.read_voc(tmp_path / "laughs.xml")


def test_a_changed_annotation_is_read_anew(dior: ModuleType, tmp_path: Path) -> None:
    path = _release(tmp_path, UPRIGHT, _box(*PLANE))
    samples = dior.open(tmp_path, "train")
    before = samples.content().labels
    assert len(samples[0].target.labels) == 1
    path.write_text(f"<annotation>{_box(*PLANE) * 3}</annotation>")
    assert len(samples[0].target.labels) == 3
    assert samples.content().labels != before


def test_all_missing_files_of_a_list_are_named(dior: ModuleType, tmp_path: Path) -> None:
    path = _release(tmp_path, UPRIGHT)
    path.unlink()
    (tmp_path / "JPEGImages-trainval" / "00002.jpg").unlink()
    with pytest.raises(MissingFilesError) as error:
        dior.open(tmp_path, "trainval")
    assert error.value.files == (f"{UPRIGHT}/00001.xml", "JPEGImages-trainval/00002.jpg")
    shutil.rmtree(tmp_path / "JPEGImages-test")
    with pytest.raises(MissingFilesError):
        dior.open(tmp_path, "test")


def test_lists_that_are_missing_or_name_one_twice_are_errors(
    dior: ModuleType, tmp_path: Path
) -> None:
    _release(tmp_path, UPRIGHT)
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("00001\n")
    keys = dior.open(tmp_path, "val").keys
    assert keys == ("00001",)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("00001\n00001\n")
    for split in ("train", "trainval"):
        with pytest.raises(DataError, match=r"train\.txt.* name an image twice"):
            dior.open(tmp_path, split)
    (tmp_path / "ImageSets" / "Main" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"test\.txt cannot be read(.|\n)*Expected:\ndior/"):
        dior.open(tmp_path, "test")


def test_tiles_and_options_are_refused(dior: ModuleType, dior_r: ModuleType) -> None:
    for plugin in (dior, dior_r):
        with pytest.raises(UsageError, match="cannot be cut into tiles"):
            plugin.open(Path("nowhere"), "train", 400)
        with pytest.raises(UsageError, match="has no option 'scales'"):
            plugin.open(Path("nowhere"), "train", scales="multi")


def test_the_demo_shows_the_same_scenes_with_both_kinds_of_box(
    dior: ModuleType, dior_r: ModuleType, tmp_path: Path
) -> None:
    for plugin in (dior, dior_r):
        plugin.write_demo(tmp_path / plugin.CARD.name)
    for split, count in (("train", 24), ("val", 8), ("trainval", 32), ("test", 16)):
        upright = dior.open(tmp_path / "dior", split)
        turned = dior_r.open(tmp_path / "dior_r", split)
        assert len(upright) == len(turned) == count
        assert upright.card.classes == turned.card.classes
        seen = set()
        for a, b in zip(upright, turned, strict=True):
            assert torch.equal(a.images["hr"], b.images["hr"])
            assert torch.equal(a.target.labels, b.target.labels)
            assert 3 <= len(a.target.labels) <= 10
            assert (a.target.corners.amin(1) - b.target.corners.amin(1)).abs().max() <= 1
            sides = (b.target.corners - b.target.corners.roll(1, 1)).norm(dim=2)
            assert sides.min() > 6
            assert sides.max() < 60
            seen |= set(a.target.labels.tolist())
        assert seen == set(range(5))


def test_samples_survive_pickling(dior_r: ModuleType, tmp_path: Path) -> None:
    dior_r.write_demo(tmp_path)
    samples = dior_r.open(tmp_path, "val")
    again = pickle.loads(pickle.dumps(samples))
    for field in ("corners", "labels", "difficult"):
        assert torch.equal(getattr(samples[3].target, field), getattr(again[3].target, field))
    samples[3].target.corners.zero_()  # what is handed out may be changed without harm
    assert torch.equal(samples[3].target.corners, again[3].target.corners)
    assert np.asarray(samples[3].target.corners).any()


# torchgeo's DIOR is no oracle here: it reads a re-hosted copy (Images/, Annotations/,
# sample_df.csv) with class names that the official files do not have.
