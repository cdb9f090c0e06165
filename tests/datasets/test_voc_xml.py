"""XML files of VOC, and annotations.xml of CVAT, beside a user's own images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import CAR, FEW, boxes_by_image, opened, opens_or_says, picture, written

# CAR holds the pixels 11 to 30 across and 21 to 30 down, counted from 1.
BOX = "<xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>30</ymax>"
FROM_ZERO = "<xmin>0</xmin><ymin>20</ymin><xmax>30</xmax><ymax>30</ymax>"


def voc_object(box: str = BOX, name: str = "car", more: str = "") -> str:
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def voc(root: Path, *objects: str, folder: str = "Annotations", images: str = "JPEGImages") -> Path:
    """Three images with the same objects each."""
    for name in "abc":
        picture(root / images / f"{name}.jpg")
        text = f"<annotation>{''.join(objects)}</annotation>"
        written(root / folder / f"{name}.xml", text)
    return root


def test_pixels_count_from_one(tmp_path: Path) -> None:
    samples = opened(voc(tmp_path, voc_object(more="<difficult>1</difficult>")))
    assert samples.card.tasks == ("horizontal_detection",)
    assert next(iter(boxes_by_image(samples).values())) == [("car", CAR)]
    assert samples.target(0).difficult.tolist() == [True]
    assert "coordinates of VOC are counted from 1" in samples.notes


def test_a_coordinate_of_zero_says_that_pixels_count_from_zero(tmp_path: Path) -> None:
    samples = opened(voc(tmp_path, voc_object(), voc_object(FROM_ZERO)))
    (_, first), (_, second) = next(iter(boxes_by_image(samples).values()))
    assert first == [[11, 21], [30, 21], [30, 30], [11, 30]]
    assert second[0] == [0, 20]
    assert "coordinates of VOC are counted from 0" in samples.notes


def test_lists_of_splits_and_images_without_annotation(tmp_path: Path) -> None:
    voc(tmp_path, voc_object())
    picture(tmp_path / "JPEGImages" / "d.jpg")
    for part, stems in (("train", "a\n"), ("val", "b 1\n"), ("trainval", "a\nb\n"), ("test", "c")):
        written(tmp_path / "ImageSets" / "Main" / f"{part}.txt", stems)
    found = {part: opened(tmp_path, part) for part in ("train", "val", "test")}
    assert {part: samples.groups for part, samples in found.items()} == {
        "train": ("a",), "val": ("b",), "test": ("c",)
    }  # fmt: skip
    assert any("d.jpg" in note and "left out" in note for note in found["test"].notes)
    assert tmp_path / "ImageSets" / "Main" / "val.txt" in (found["train"].label_files or ())
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("a")
    with pytest.raises(DataError, match="lists a for train and for val"):
        opened(tmp_path)


def test_exports_with_files_beside_the_images(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        voc(tmp_path / part, voc_object(), folder="", images="")
    assert set(boxes_by_image(opened(tmp_path))) == {"train-a", "train-b", "train-c"}
    assert set(boxes_by_image(opened(tmp_path, "test"))) == {"valid-a", "valid-b", "valid-c"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (voc_object("<xmin>a</xmin>"), r"a\.xml, object 1 has the box xmin a"),
        (voc_object(BOX.replace("11", "99")), r"a\.xml, object 1 has the box"),
        (voc_object(name=" "), r"a\.xml, object 1 has no class name"),
        ("<object><name>x</name><robndbox/></object>", r"a\.xml, object 1 has no <bndbox>"),
        ("<size><width>8</width><height>6</height></size>", r"a\.xml says that a\.jpg is 8 x 6"),
        ("<object>", r"a\.xml cannot be read"),
        (voc_object(BOX.replace("11", "200").replace("30", "300")), r"object 1 lies outside"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, what: str) -> None:
    voc(tmp_path, voc_object())
    written(tmp_path / "Annotations" / "a.xml", f"<annotation>{text}</annotation>")
    with pytest.raises(DataError, match=what):
        opened(tmp_path)


@FEW
@given(st.text(st.characters(codec="utf-8"), max_size=40), st.floats() | st.text(max_size=4))
def test_any_xml_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str, value: object
) -> None:
    root = voc(tmp_path_factory.mktemp("voc"), voc_object())
    for content in (text, f"<annotation>{voc_object(BOX.replace('11', str(value)))}</annotation>"):
        written(root / "Annotations" / "a.xml", content)
        opens_or_says(root)


def cvat(root: Path, shape: str, subset: str = "") -> Path:
    names = ("a", "b", "c")
    for name in names:
        picture(root / "images" / f"{name}.png")
    images = "".join(
        f'<image name="{name}.png" width="80" height="60" {subset.format(part)}>{shape}</image>'
        for name, part in zip(names, ("Train", "Validation", "Test"), strict=True)
    )
    written(root / "annotations.xml", f"<annotations><version>1.1</version>{images}</annotations>")
    return root


def test_cvat_boxes_and_subsets(tmp_path: Path) -> None:
    shape = '<box label="car" xtl="10" ytl="20" xbr="30" ybr="30" occluded="0"/>'
    root = cvat(tmp_path, shape, 'subset="{}"')
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        assert boxes_by_image(opened(root, part)) == {name: [("car", CAR)]}


def test_cvat_turned_boxes_and_polygons(tmp_path: Path) -> None:
    turned = '<box label="car" xtl="15" ytl="15" xbr="25" ybr="35" rotation="90"/>'
    polygon = '<polygon label="car" points="10,20;30,20;30,30"/>'
    samples = opened(cvat(tmp_path, turned + polygon))
    assert samples.card.tasks == ("oriented_detection",)
    (_, first), (_, second) = next(iter(boxes_by_image(samples).values()))
    assert sorted(first) == sorted(second) == sorted(CAR)
    assert any("polygon" in note for note in samples.notes)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ('<box label="car" xtl="1" ytl="1" xbr="x" ybr="2"/>', r"a\.png', shape 1 has the box"),
        ('<box xtl="1" ytl="1" xbr="2" ybr="2"/>', "shape 1 has no class name"),
        ('<polygon label="car" points="1,2;3"/>', "shape 1 has no polygon"),
        ('<box label="a" xtl="1" ytl="1" xbr="2" ybr="2" rotation="q"/>', "rotation that is no"),
    ],
)
def test_what_is_wrong_in_cvat_is_named(tmp_path: Path, shape: str, what: str) -> None:
    with pytest.raises(DataError, match=what):
        opened(cvat(tmp_path, shape))


@FEW
@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(["xtl", "ybr", "rotation", "points", "label"]),
    st.text("0123456789.,;-naif x", max_size=6),
)
def test_any_cvat_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str, value: str
) -> None:
    root = cvat(tmp_path_factory.mktemp("cvat"), text)
    opens_or_says(root)
    known = {
        "label": "car",
        "xtl": "1",
        "ytl": "1",
        "xbr": "9",
        "ybr": "9",
        "points": "1,1;9,1;9,9",
    }
    facts = " ".join(f'{n}="{v}"' for n, v in {**known, name: value}.items())
    opens_or_says(cvat(root, f"<box {facts}/><polygon {facts}/>"))


def test_fractions_say_that_coordinates_are_no_pixel_numbers(tmp_path: Path) -> None:
    box = "<xmin>10.5</xmin><ymin>20</ymin><xmax>30.5</xmax><ymax>30</ymax>"
    ((_, found),) = next(iter(boxes_by_image(opened(voc(tmp_path, voc_object(box)))).values()))
    assert found == [[10.5, 20], [30.5, 20], [30.5, 30], [10.5, 30]]


@pytest.mark.parametrize(
    ("word", "hard"), [("False", False), ("Unspecified", False), ("true", True), ("1", True)]
)
def test_difficult_as_a_word(tmp_path: Path, word: str, hard: bool) -> None:
    samples = opened(voc(tmp_path, voc_object(more=f"<difficult>{word}</difficult>")))
    assert samples.target(0).difficult.tolist() == [hard]


@pytest.mark.parametrize("folder", ["xmls", "labels", "imgs"])
def test_other_folders_and_checked_files(tmp_path: Path, folder: str) -> None:
    voc(tmp_path, voc_object(), folder=folder, images="imgs")
    for path in (tmp_path / folder).glob("*.xml"):
        path.write_text(path.read_text().replace("<annotation>", '<annotation verified="yes">'))
    assert next(iter(boxes_by_image(opened(tmp_path)).values())) == [("car", CAR)]


def test_elements_of_another_namespace_are_named(tmp_path: Path) -> None:
    voc(tmp_path, voc_object())
    text = f'<annotation xmlns="http://a.org">{voc_object()}</annotation>'
    written(tmp_path / "Annotations" / "a.xml", text)
    with pytest.raises(DataError, match=r"a\.xml begins with <\{http://a\.org\}annotation>"):
        opened(tmp_path)


def test_cvat_masks_and_other_shapes(tmp_path: Path) -> None:
    mask = '<mask label="car" left="10" top="20" width="20" height="10" rle="0, 200"/>'
    line = '<polyline label="car" points="1,2;3,4"/><tag label="car"/>'
    samples = opened(cvat(tmp_path, mask + line))
    assert next(iter(boxes_by_image(samples).values())) == [("car", CAR)]
    assert any("left out" in note and "(polyline)" in note for note in samples.notes)
    assert not any("(tag)" in note for note in samples.notes)


def test_cvat_for_videos_is_named(tmp_path: Path) -> None:
    cvat(tmp_path, "")
    written(tmp_path / "annotations.xml", '<annotations><track id="0" label="car"/></annotations>')
    with pytest.raises(DataError, match='export it as "CVAT for images"'):
        opened(tmp_path)
