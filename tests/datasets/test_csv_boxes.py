"""CSV files with boxes of a user's own images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import CAR, FEW, boxes_by_image, opened, opens_or_says, picture, written

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def table(root: Path, text: str) -> Path:
    for name in "abc":
        picture(root / "images" / f"{name}.jpg")
    written(root / "boxes.csv", text)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"images/{n}.jpg,10,20,30,30,car\n" for n in "abc"),
        HEADER + "".join(f"{n}.jpg,80,60,car,10,20,30,30\n" for n in "abc"),
        "\ufeffimage;x1;y1;x2;y2;label\n" + "".join(f"{n}.jpg;10;20;30;30;car\n" for n in "abc"),
    ],
)
def test_with_and_without_a_header(tmp_path: Path, text: str) -> None:
    samples = opened(table(tmp_path, text))
    assert samples.card.tasks == ("horizontal_detection",)
    assert next(iter(boxes_by_image(samples).values())) == [("car", CAR)]


def test_rows_without_a_box_and_images_in_no_row(tmp_path: Path) -> None:
    table(tmp_path, "a.jpg,10,20,30,30,car\na.jpg,1,2,3,4,bus\nb.jpg,,,,,\n")
    written(tmp_path / "skybench.toml", 'boxes = "boxes.csv"\n[splits]\ntrain = ["*"]\n')
    samples = opened(tmp_path)
    counts = {key: len(found) for key, found in boxes_by_image(samples).items()}
    assert counts == {"a": 2, "b": 0}
    assert any("c.jpg" in note and "left out" in note for note in samples.notes)


def test_one_file_for_each_split(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("test", "b")):
        written(tmp_path / f"{part}_labels.csv", f"{HEADER}{name}.jpg,80,60,car,10,20,30,30\n")
        picture(tmp_path / f"{name}.jpg")
    assert boxes_by_image(opened(tmp_path, "test")) == {"b": [("car", CAR)]}
    written(tmp_path / "test_labels.csv", f"{HEADER}a.jpg,80,60,car,10,20,30,30\n")
    with pytest.raises(DataError, match=r"a\.jpg is in .*expected in one"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("a.jpg,30,20,10,30,car", r"boxes\.csv, row 2 is"),
        ("a.jpg,1,2,3,nan,car", r"boxes\.csv, row 2 is"),
        ("a.jpg,1,2,3,4,", r"boxes\.csv, row 2 is"),
        ("a.jpg,1,2", r"boxes\.csv, row 2 has 3 columns"),
        ("d.jpg,1,2,3,4,car", r"'d\.jpg', which .* is not there"),
        ("../a.jpg,1,2,3,4,car", "leads out of"),
        ("a.jpg,1000,2,1003,4,car", r"boxes\.csv, row 2 lies outside"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, what: str) -> None:
    with pytest.raises(DataError, match=what):
        opened(table(tmp_path, f"a.jpg,10,20,30,30,car\n{row}\n"))


@FEW
@given(st.text(max_size=40))
def test_any_row_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    root = tmp_path_factory.mktemp("csv")
    for row in (text, f"a.jpg,{text},1,2,3,car", f"a.jpg,1,1,2,2,{text}"):
        opens_or_says(table(root, f"a.jpg,10,20,30,30,car\n{row}\nb.jpg,1,2,3,4,car\n"))


@pytest.mark.parametrize(
    "text",
    [
        "file\tx1\ty1\tx2\ty2\tclass\n" + "".join(f"{n}.jpg\t10\t20\t30\t30\tcar\n" for n in "abc"),
        "sep=;\nfile;x1;y1;x2;y2;class\n" + "".join(f"{n}.jpg;10;20;30;30;car\n" for n in "abc"),
        "file,x1,y1,x2,y2,class\n,,,,,\n" + "".join(f"{n}.jpg,10,20,30,30,car\n" for n in "abc"),
        "file,x1,y1,x2,y2,class\n" + "".join(f"images\\{n}.jpg,10,20,30,30,car\n" for n in "abc"),
        "file,x1,y1,x2,y2,class\n" + "".join(f"D:/my/{n}.jpg,10,20,30,30,car\n" for n in "abc"),
    ],
)
def test_tables_as_office_programs_write_them(tmp_path: Path, text: str) -> None:
    found = boxes_by_image(opened(table(tmp_path, text)))
    assert next(iter(found.values())) == [("car", CAR)]


def test_coordinates_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: no coordinate of the 1 objects is above 1"):
        opened(table(tmp_path, HEADER + "a.jpg,80,60,car,0.1,0.2,0.3,1\n"))
    with pytest.raises(DataError, match=r"row 2 says that a\.jpg is 160 x 120 pixels"):
        opened(table(tmp_path, HEADER + "a.jpg,160,120,car,10,20,30,30\n"))
