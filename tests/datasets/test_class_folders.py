"""Class folders, and folders that must not be taken for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skybench.core import SkybenchError

from ._folders import described, opened, photo, put

MASK = np.eye(6, 8, dtype=np.uint8)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("images/1.jpg", "labels/1.txt"), "images/"),
        (("images/1.jpg", "annotations/x.json"), "images/"),
        (("images/1.jpg", "town/1.jpg"), "images/ are usual names"),
        (("JPEGImages/1.jpg", "SegmentationObject/1.png"), "JPEGImages/, SegmentationObject/"),
        (("train/images/1.jpg", "test/images/1.jpg"), "images/ of test/ are usual names"),
        (("img/1.jpg",), "img/"),
        (("masks/1.png", "town/1.jpg"), "masks/"),
    ],
)
def test_usual_names_of_images_and_labels_are_no_classes(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    for name in names:
        if name.endswith(("jpg", "png")):
            photo(tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}")
    with pytest.raises(SkybenchError, match="does not look like class folders") as caught:
        opened(tmp_path)
    assert words in str(caught.value)
    assert "skybench.toml" in str(caught.value)


def test_classes_of_these_names_are_read_where_they_are_listed(tmp_path: Path) -> None:
    for name in ("images", "town"):
        for number in range(3):
            photo(tmp_path / name / f"{number}.png")
    described(tmp_path, 'classes = ["town", "images"]\n')
    assert opened(tmp_path).card.classes == ("town", "images")
    described(tmp_path, 'exclude = ["images/*"]\n')
    assert opened(tmp_path).card.classes == ("town",)


@pytest.mark.parametrize("names", [("a", "b"), ("A", "B"), ("residential", "t1"), ("out", "rgb")])
def test_short_names_may_be_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        for number in range(3):
            photo(tmp_path / name / f"{number}.png")
    assert opened(tmp_path).card.classes == tuple(sorted(names))


def test_masks_beside_images_are_no_class(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "optical" / f"{number}.png")
        put(tmp_path / "roofs" / f"{number}.png", MASK)
    with pytest.raises(SkybenchError, match=r'images = "optical", masks = "roofs"'):
        opened(tmp_path)
    put(tmp_path / "roofs" / "9.png", MASK)  # other names: grey images of a class
    assert opened(tmp_path).card.classes == ("optical", "roofs")


@pytest.mark.parametrize("place", ["", "data/"])
def test_masks_in_the_same_folder_are_recognised_by_their_names(tmp_path: Path, place: str) -> None:
    for number in range(3):
        photo(tmp_path / f"{place}{number}.png")
        put(tmp_path / f"{place}{number}_mask.png", MASK)
    with pytest.raises(SkybenchError, match=r"0_mask\.png.* put the images into images/ and"):
        opened(tmp_path)


@pytest.mark.parametrize("suffix", ["json", "xml", "txt"])
def test_annotations_beside_images_are_no_classes(tmp_path: Path, suffix: str) -> None:
    for number in range(3):
        photo(tmp_path / "north" / f"{number}.png")
        (tmp_path / "north" / f"{number}.{suffix}").write_text('{"shapes": []}')
    with pytest.raises(SkybenchError, match=r"north holds 3 files such as 0\.\w+ beside images"):
        opened(tmp_path)


def test_loose_images_have_no_class(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"{number}.png")
    with pytest.raises(SkybenchError, match=r"holds 3 images that lie in no class folder, as 0"):
        opened(tmp_path)
    photo(tmp_path / "train" / "0.png")
    for part in ("train", "test"):
        photo(tmp_path / part / "0.png")
    for number in range(3):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(SkybenchError, match=r"has no class|in no class folder|one class"):
        opened(tmp_path / "train")


def test_loose_images_beside_classes_are_told(tmp_path: Path) -> None:
    photo(tmp_path / "preview.png")
    photo(tmp_path / "old" / "deep" / "1.png")
    for number in range(4):
        photo(tmp_path / "train" / "town" / f"{number}.png")
        photo(tmp_path / "test" / "town" / f"{number}.png")
    assert opened(tmp_path).notes == (
        "there is one class only, 'town': every answer is right",
        "images that are not read lie in . (1), old/deep (1)",
    )


def test_deeper_images_are_not_left_out_without_a_word(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "data" / "town" / f"{number}.png")
    with pytest.raises(SkybenchError, match=r"lies deeper than <class>/a\.jpg"):
        opened(tmp_path)
    assert opened(tmp_path / "data").card.classes == ("town",)
    for name in ("2019-07-15.png", "2019-08-15.png", "cloudy.png"):
        photo(tmp_path / "s" / "town" / "place" / name)
    with pytest.raises(SkybenchError, match="is no time series"):
        opened(tmp_path / "s")


@pytest.mark.parametrize("stem", ["{}", "2019070{}"])
def test_parts_below_classes_are_to_be_swapped(tmp_path: Path, stem: str) -> None:
    for part, number in ((part, n) for part in ("train", "test") for n in range(1, 4)):
        photo(tmp_path / "town" / part / f"{stem.format(number)}.png")
    with pytest.raises(SkybenchError, match=r"as test/town/\d+\.png: swap the folders"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"), [("train/Town", "test/town"), ("Town", "town"), ("u\u0308", "\u00fc")]
)
def test_classes_whose_names_differ_in_writing_only_are_refused(
    tmp_path: Path, one: str, other: str
) -> None:
    for number in range(3):
        photo(tmp_path / one / f"{number}.png")
        photo(tmp_path / other / f"{number}.png")
    with pytest.raises(SkybenchError, match="would be two classes of one name"):
        opened(tmp_path)
    names = sorted({Path(one).name, Path(other).name})
    root = described(tmp_path, f"classes = {names}".replace("'", '"'))
    assert opened(root).card.classes == (names[0], names[1])


def test_links_to_nowhere_and_excludes_of_nothing_are_told(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "town" / f"{number}.png")
        photo(tmp_path / "field" / f"a[{number}].png")
    (tmp_path / "town" / "9.png").symlink_to(tmp_path / "gone.png")
    photo(tmp_path / "town" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.png")
    entries = '["town/0.png", "field/a[1].png", "twon/*", "field/b[1].png"]'
    samples = opened(described(tmp_path, f"exclude = {entries}\n"))
    assert samples.notes == (
        "exclude has 'field/b[1].png', which names no image",
        "exclude has 'twon/*', which names no image",
        "town/ holds files of kinds that are not read: 1 broken links, as 9.png",
    )
    assert not {"town/0.png", "field/a[1].png"} & {*samples.keys}


def test_one_name_in_two_formats_is_asked_about(tmp_path: Path) -> None:
    for suffix in ("png", "tif"):
        photo(tmp_path / "town" / f"1.{suffix}")
    with pytest.raises(SkybenchError, match=r"town holds 1\.png and 1\.tif \(1 such names\)"):
        opened(tmp_path)


def test_files_of_other_kinds_are_counted_and_named(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "town" / f"{number}.png")
        photo(tmp_path / "field" / f"{number}.bmp")
    for name in ("a.npy", "b.npy", "c.xcf", "0.png.aux.xml", "0.tfw", "Thumbs.db", ".x"):
        (tmp_path / "town" / name).write_text("")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "paper.pdf").write_text("")
    samples = opened(tmp_path)
    assert samples.notes == (
        "town/ holds files of kinds that are not read: 2 .npy, 1 .xcf",
        "docs/ holds no image, so it is no class: 1 .pdf",
    )
    assert samples.card.classes == ("field", "town")


def test_a_folder_of_other_kinds_only_says_which(tmp_path: Path) -> None:
    for name in ("town/0.npy", "town/1.npy", "field/0.h5", "field/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    kinds = r"2 \.npy, 1 \.h5, 1 without suffix, of which none is read: save images as TIFF"
    with pytest.raises(SkybenchError, match=f"it holds field/, town/; it has {kinds}"):
        opened(tmp_path)


def test_a_class_without_an_image_in_a_split_is_told(tmp_path: Path) -> None:
    for key in ("train/town/1.png", "train/field/1.png", "test/town/1.png"):
        photo(tmp_path / key)
    assert opened(tmp_path, "train").notes == ()
    assert opened(tmp_path, "test").notes == ("class 'field' has no image in test",)
    assert opened(tmp_path, "test").class_counts() == {"field": 0, "town": 1}
    described(tmp_path, 'classes = ["town", "field", "water"]\n')
    assert opened(tmp_path, "train").notes == ("class 'water' has no image in train",)
