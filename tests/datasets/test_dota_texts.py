"""Texts of DOTA beside a user's own images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import CAR, FEW, boxes_by_image, opened, opens_or_says, picture, written

LINE = "10 20 30 20 30 30 10 30"


def dota(root: Path, text: str, labels: str = "labelTxt") -> Path:
    """Three images with the same text each."""
    for number in range(3):
        picture(root / "images" / f"P{number}.png")
        written(root / labels / f"P{number}.txt", text)
    return root


def test_names_with_spaces_and_the_difficulty(tmp_path: Path) -> None:
    lines = ("small vehicle 0", "small vehicle 1", "small-vehicle", "boeing 737 1", "boeing 737")
    text = "imagesource:GoogleEarth\nGSD:0.1\n" + "".join(f"{LINE} {w}\n" for w in lines)
    samples = opened(dota(tmp_path, text + "\n"))
    assert samples.card.tasks == ("oriented_detection",)
    assert samples.card.classes == ("boeing 737", "small vehicle")
    assert samples.target(0).difficult.tolist() == [False, True, False, True, False]


def test_one_class_in_two_spellings_is_one(tmp_path: Path) -> None:
    text = f"{LINE} small vehicle 0\n{LINE} Small-Vehicle 0\n{LINE} plane 0\n"
    samples = opened(dota(tmp_path, text))
    assert samples.class_counts() == {"Small-Vehicle": 2, "plane": 1}
    told = "1 x class is written in two ways: 'Small-Vehicle' and 'small vehicle'"
    assert told in samples.notes


@pytest.mark.parametrize("text", ["\ufeff" + f"gsd:1\n{LINE} ship 0\n", f"{LINE} ship 0\r\n"])
def test_byte_order_marks_and_line_ends(tmp_path: Path, text: str) -> None:
    samples = opened(dota(tmp_path, text))
    assert samples.card.classes == ("ship",)
    assert boxes_by_image(samples) == {samples.groups[0]: [("ship", CAR)]}


def test_the_official_tree(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for version in ("labelTxt-v1.0/labelTxt", "labelTxt-v1.0/Train_Task2_gt/reclabelTxt"):
            written(tmp_path / part / version / "P1.txt", f"{LINE} ship 0\n")
        picture(tmp_path / part / "images" / "P1.png")
    picture(tmp_path / "test" / "images" / "P9.png")
    for toml in ("", 'boxes = "train/labelTxt-v1.0/labelTxt"'):
        written(tmp_path / "skybench.toml", toml)
        assert boxes_by_image(opened(tmp_path)) == {"train-P1": [("ship", CAR)]}
        test = opened(tmp_path, "test")
        assert boxes_by_image(test) == {"val-P1": [("ship", CAR)]}
        assert any("P9.png" in note and "left out" in note for note in test.notes)
        assert len(opened(tmp_path, "val")) == 1


def test_two_versions_of_the_labels_are_not_mixed(tmp_path: Path) -> None:
    for version, name in (("1.0", "ship"), ("1.5", "crane")):
        written(tmp_path / "train" / f"labelTxt-v{version}" / "P1.txt", f"{LINE} {name} 0\n")
        written(tmp_path / "train" / f"labelTxt-v{version}" / "P2.txt", f"{LINE} {name} 0\n")
    for name in ("P1", "P2"):
        picture(tmp_path / "train" / "images" / f"{name}.png")
    with pytest.raises(DataError, match=r'boxes = "train/labelTxt-v1\.0"'):
        opened(tmp_path)
    written(tmp_path / "skybench.toml", 'boxes = "train/labelTxt-v1.5"')
    samples = opened(tmp_path)
    assert samples.card.classes == ("crane",)
    assert "all images are of train, so they are split anew" in samples.notes


def test_empty_texts_are_images_without_object(tmp_path: Path) -> None:
    dota(tmp_path, f"{LINE} ship 0\n")
    for number in range(2):
        (tmp_path / "labelTxt" / f"P{number}.txt").write_text("imagesource:x\n")
    counts = [len(opened(tmp_path, part).target(0).labels) for part in ("train", "val", "test")]
    assert sum(counts) == 1


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    dota(tmp_path, f"{LINE} ship 0\n")
    written(tmp_path / "labelTxt" / "gone.txt", "")
    assert "1 x text with labels has no image: labelTxt/gone.txt" in opened(tmp_path).notes
    (tmp_path / "labelTxt" / "P1.txt").unlink()
    with pytest.raises(DataError, match=r"P1\.png has no text with its boxes \(1 of 3"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "line", ["1 2 3 ship", f"{LINE}", "nan" + LINE[2:] + " ship", f"0 {LINE}", "inf " + LINE]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    dota(tmp_path, f"{LINE} ship 0\n")
    written(tmp_path / "labelTxt" / "P1.txt", f"gsd:1\n{line}\n")
    with pytest.raises(DataError, match=r"P1\.txt, line 2"):
        opened(tmp_path)


@FEW
@given(st.text(max_size=80))
def test_any_text_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    root = dota(tmp_path_factory.mktemp("dota"), f"{LINE} ship 0\n")
    for content in (text, f"{LINE} {text}"):
        written(root / "labelTxt" / "P1.txt", content)
        opens_or_says(root)


def test_scores_of_detections_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 1 ends with 0\.93; expected a class"):
        opened(dota(tmp_path, f"{LINE} ship 0.93\n"))


def test_the_tree_of_later_versions(tmp_path: Path) -> None:
    dota(tmp_path, f"{LINE} ship 0\n", "labelTxt-v1.5/DOTA-v1.5_train")
    dota(tmp_path, "1 2 40 2 40 50 1 50 ship 0\n", "labelTxt-v1.5/DOTA-v1.5_train_hbb")
    assert next(iter(boxes_by_image(opened(tmp_path)).values())) == [("ship", CAR)]
