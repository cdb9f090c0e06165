"""Folders in the layouts that people have: read, or refused with what to write."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skybench.core import SkybenchError, registry

from ._folders import described, opened, photo, put

_recognise = importlib.import_module("skybench.datasets._readers.recognise")
SIZE = (6, 8)
STRIPES = np.repeat(np.array([0, 1] * 3, np.uint8)[:, None], 8, 1)
TWO = 'classes = ["ground", "building"]\n'


def places(root: Path, images: str, masks: str, parts: tuple[str, ...] = ("train", "test")) -> None:
    for part in parts:
        photo(root / images.format(part) / "x1.jpg", SIZE)
        put(root / masks.format(part) / "x1.png", STRIPES)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}/images", "{}/masks"),
        ("{}/images", "{}/labels"),
        ("{}/img", "{}/gt"),
        ("{}/Images", "{}/Annotations"),
        ("images/{}", "masks/{}"),
        ("img_dir/{}", "ann_dir/{}"),
        ("city/{}/image", "city/{}/label"),
        ("{}/JPEGImages", "{}/SegmentationClass"),
    ],
)
def test_images_beside_masks_by_usual_names(tmp_path: Path, images: str, masks: str) -> None:
    places(tmp_path, images, masks)
    samples = opened(described(tmp_path, TWO), "test")
    assert len(samples) == 1
    assert samples.split.source == "rule: the folders train, val, test"
    assert samples[0].target[:6, 0].tolist() == [0, 1] * 3


@pytest.mark.parametrize("folder", ["{0}", "{0}/city", "city/{0}"])
@pytest.mark.parametrize("words", [("images", "masks"), ("A", "B", "label")])
def test_dates_in_all_names_do_not_make_a_folder_a_series(
    tmp_path: Path, folder: str, words: tuple[str, ...]
) -> None:
    for part, day in ((part, day) for part in ("train", "test") for day in (1, 2)):
        *images, masks = (tmp_path / word / folder.format(part) for word in words)
        for place in images:
            photo(place / f"S2_2019070{day}_x.jpg", SIZE)
        put(masks / f"S2_2019070{day}_x.png", STRIPES)
    for part in ("train", "test"):
        samples = opened(described(tmp_path, TWO), part)
        assert len(samples) == 2
        assert len(samples[0].images["hr"]) == len(words) - 1
        assert samples[0].target[:6, 0].tolist() == [0, 1] * 3


@pytest.mark.parametrize("part", ["valid", "validation", "dev", "val"])
def test_the_validation_part_has_many_names(tmp_path: Path, part: str) -> None:
    places(tmp_path / "m", "{}/images", "{}/masks", ("training", part, "testing"))
    plugin = registry.load("datasets", "folder")
    assert plugin.splits(described(tmp_path / "m", TWO)) == ["train", "val", "test"]
    for name in ("train", part, "test"):
        photo(tmp_path / "c" / name / "town" / "a.png")
    assert opened(tmp_path / "c", "val").keys == (f"{part}/town/a.png",)


@pytest.mark.parametrize("ending", ["_mask", "-mask", "_label", "_gt", "_GT", "_seg", "_labels"])
def test_masks_may_have_an_ending(tmp_path: Path, ending: str) -> None:
    for number in range(3):
        photo(tmp_path / "images" / f"x{number}.jpg", SIZE)
        put(tmp_path / "masks" / f"x{number}{ending}.png", STRIPES)
    assert opened(described(tmp_path, TWO)).keys[0].startswith("x")
    put(tmp_path / "masks" / "x0.png", STRIPES)
    with pytest.raises(SkybenchError, match="may both be the mask of"):
        opened(tmp_path)


def test_images_may_have_an_ending_too(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "a" / "images" / f"x{number}_sat.jpg", SIZE)
        put(tmp_path / "a" / "labels" / f"x{number}_mask.png", STRIPES)
        photo(tmp_path / "b" / "train" / f"x{number}_sat.jpg", SIZE)
        put(tmp_path / "b" / "train" / f"x{number}_mask.png", STRIPES)
    assert len(opened(described(tmp_path / "a", TWO))) == 1
    with pytest.raises(SkybenchError, match=r"x0_mask\.png looks like the mask of x0_sat\.jpg"):
        opened(tmp_path / "b")


def test_other_names_are_written_into_the_description(tmp_path: Path) -> None:
    places(tmp_path, "{}/scene", "{}/truth")
    text = f'images = "scene"\nmasks = "truth"\n{TWO}'
    assert len(opened(described(tmp_path, text), "test")) == 1
    with pytest.raises(SkybenchError, match="no folders scene and thruth beside each other"):
        opened(described(tmp_path, text.replace("truth", "thruth")))
    places(tmp_path, "{}/images", "{}/labels")
    places(tmp_path, "{}/images", "{}/gt")
    with pytest.raises(SkybenchError, match=r'may hold the masks: gt, labels; .* masks = "gt"'):
        opened(described(tmp_path, TWO))
    assert len(opened(described(tmp_path, f'masks = "labels"\n{TWO}'))) == 1


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("A", "B", "label"), (0, 255)),
        (("A", "B", "label"), (0, 1)),
        (("before", "after", "mask"), (0, 255)),
        (("t1", "t2", "change"), (0, 255)),
        (("im1", "im2", "label"), (0, 1)),
        (("pre", "post", "gt"), (0, 255)),
    ],
)
@pytest.mark.parametrize("split_first", [True, False])
def test_pairs_are_read_without_a_description(
    tmp_path: Path, names: tuple[str, ...], values: tuple[int, int], split_first: bool
) -> None:
    for part in ("train", "test"):
        for name, value in zip(names, (10, 20, 0), strict=True):
            above = Path(part, name) if split_first else Path(name, part)
            if name == names[-1]:
                put(tmp_path / above / "p.png", np.array(values, np.uint8)[STRIPES])
            else:
                photo(tmp_path / above / "p.png", SIZE, value)
    samples = opened(tmp_path, "test")
    assert samples.card.tasks == ("change_detection",)
    assert samples.card.classes == ("unchanged", "changed")
    sample = samples[0]
    assert sample.images["hr"].shape == (2, 3, 32, 32)
    assert sample.images["hr"][:, 0, 0, 0].tolist() == [10, 20]
    assert sample.target[:6, 0].tolist() == [0, 1] * 3
    assert not sample.days  # no date is invented
    assert any("255" in note for note in samples.notes) == (values[1] == 255)
    assert len(samples.files) == 2


def test_what_is_wrong_with_pairs_is_said(tmp_path: Path) -> None:
    for name, value in (("A", 1), ("B", 2), ("label", 0)):
        for number in range(3):
            put(tmp_path / name / f"{number}.png", np.full((6, 8, 3), value, np.uint8))
    with pytest.raises(SkybenchError, match="has 3 classes; with change = true expected two"):
        opened(described(tmp_path, 'classes = ["a", "b", "c"]\n'))
    (tmp_path / "skybench.toml").unlink()
    (tmp_path / "B" / "1.png").unlink()
    with pytest.raises(SkybenchError, match=r"1\.png has no partner .*A/ and B/ and label/ must"):
        opened(tmp_path)
    for number in range(3):
        photo(tmp_path / "B" / f"{number}.png", (6, 9))
    with pytest.raises(SkybenchError, match=r"B/\d\.png is 6 x 9 pixels .*A/\d\.png"):
        opened(tmp_path)


@pytest.mark.parametrize("names", [("before", "after"), ("pre", "post")])
def test_pairs_without_masks_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        photo(tmp_path / name / "p1.png")
    with pytest.raises(SkybenchError, match="pairs of two dates, without a folder of masks"):
        opened(tmp_path)


def test_words_are_parts_endings_or_names() -> None:
    names = _recognise.names_for_masks(["a", "b_mask", "d_sat"])
    masks = ("a_mask.png", "b_mask.png", "c_gt.png", "a.tif", "d_mask.png", "d.png")
    assert [_recognise.image_stem(Path(mask), names) for mask in masks] == [
        "a", "b_mask", "c_gt", "a", "d_sat", "d_sat",
    ]  # fmt: skip
    assert [_recognise.part_in(g) for g in ("", "a/Valid", "trainstation", "x/test/y")] == [
        "", "val", "", "test",
    ]  # fmt: skip


FOLDERS = st.sampled_from(
    ["images", "masks", "labels", "A", "B", "label", "train", "val", "test", "valid", "before",
     "after", "town", "field", "a b", "annotations", ".hidden", "__MACOSX", "list"]
)  # fmt: skip
FILES = st.sampled_from(
    ["1.png", "2.png", "1_mask.png", "1.jpg", "1.tif", "2.txt", "train.txt", "test.txt", "a.json",
     "data.yaml", "2019-07-15.png", "2020-07-15.png", "x.npy", "a.csv", "a.xml", "Thumbs.db"]
)  # fmt: skip
TREES = st.lists(
    st.tuples(st.lists(FOLDERS, max_size=3), FILES, st.integers(0, 3)), min_size=1, max_size=14
)
TOMLS = st.sampled_from(
    ["", TWO, "change = true\n" + TWO, 'classes = ["town", "field"]', 'exclude = ["*mask*"]',
     'images = "A"\nmasks = "label"\n' + TWO, '[splits]\ntrain = ["*"]\n', 'boxes = "labels"']
)  # fmt: skip
TEXTS = {".txt": "1\n2.png\n0 0.5 0.5 0.1 0.1\n", ".json": '{"images": []}', ".yaml": "names: [a]"}


@settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tree=TREES, text=TOMLS)
def test_any_tree_gives_samples_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[list[str], str, int]], text: str
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for folders, name, kind in tree:
        path = root.joinpath(*folders, name)
        if any(p.is_file() for p in path.parents) or path.exists():
            continue
        if path.suffix not in (".png", ".jpg", ".tif") or kind == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(TEXTS.get(path.suffix, "no image"))
        elif kind == 1:
            put(path, STRIPES)
        else:
            photo(path, SIZE, 10 * kind)
    if text:
        described(root, text)
    assert "download" not in _outcome(root)


def _outcome(root: Path) -> str:
    """Open all splits of a folder; return the error's sentence, or "read"."""
    plugin = registry.load("datasets", "folder")
    try:
        names = plugin.splits(root)
        assert names
        for split in names:
            samples = plugin.open(root, split)
            assert len(samples) > 0
            assert samples[0].key == samples.keys[0]
    except SkybenchError as error:
        return str(error)
    return "read"
