"""Splits of a user's own folder: of few images, by folders, by lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skybench.core import DataError, UsageError, registry
from skybench.core.dataset import Samples

from ._folders import described, opened, photo, put

PARTS = ("train", "val", "test")


def parts(root: Path) -> dict[str, Samples]:
    """All splits of a folder."""
    names = registry.load("datasets", "folder").splits(root)
    return {name: opened(root, name) for name in names}


@pytest.mark.parametrize(
    ("counts", "sizes"),
    [
        ((3, 3), (2, 2, 2)),
        ((4, 4), (4, 2, 2)),
        ((2, 2), (2, 0, 2)),
        ((1, 2), (2, 0, 1)),
        ((1, 3), (2, 1, 1)),
        ((5, 1), (4, 1, 1)),
        ((10, 20), (18, 6, 6)),
    ],
)
def test_few_images_of_a_class_are_in_train_and_test(
    tmp_path: Path, counts: tuple[int, int], sizes: tuple[int, int, int]
) -> None:
    for name, count in zip(("town", "field"), counts, strict=True):
        for number in range(count):
            photo(tmp_path / name / f"{number}.png")
    found = parts(tmp_path)
    assert tuple(len(found.get(part, ())) for part in PARTS) == sizes
    assert len({key for part in found.values() for key in part.keys}) == sum(counts)
    for name, count in zip(("town", "field"), counts, strict=True):
        if count > 1:
            for part in ("train", "test"):
                assert (found[part].class_counts() or {})[name] > 0


def test_too_few_images_ask_for_splits(tmp_path: Path) -> None:
    for name in ("town", "field"):
        photo(tmp_path / name / "1.png")
    for split in ("val", "test"):
        with pytest.raises(DataError, match=rf"2 images, .* so {split} would be empty.*\[splits\]"):
            opened(tmp_path, split)
    root = described(tmp_path / "m", 'classes = ["a"]')
    photo(root / "images" / "1.png", (6, 8))
    put(root / "masks" / "1.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(DataError, match="has 1 image: too few to split"):
        opened(root, "test")


@settings(max_examples=25, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4).filter(lambda c: max(c) > 1))
def test_no_split_is_empty(tmp_path_factory: pytest.TempPathFactory, counts: list[int]) -> None:
    root = tmp_path_factory.mktemp("few")
    for label, count in enumerate(counts):
        for number in range(count):
            path = root / f"c{label}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
    found = parts(root)
    assert {"train", "test"} <= {*found}
    assert all(len(part) for part in found.values())
    assert sum(map(len, found.values())) == sum(counts)


def test_images_beside_train_and_test_make_the_splits_unclear(tmp_path: Path) -> None:
    described(tmp_path, 'classes = ["a"]')
    for group in ("train", "test", "more"):
        photo(tmp_path / group / "images" / "1.png", (6, 8))
        put(tmp_path / group / "masks" / "1.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(DataError, match=r"folders test, train and images beside them \(more\)"):
        opened(tmp_path)
    described(tmp_path, 'classes = ["a"]\nexclude = ["more/*"]')
    assert {name: len(part) for name, part in parts(tmp_path).items()} == {"train": 1, "test": 1}


def test_a_missing_split_says_how_to_make_it(tmp_path: Path) -> None:
    for part in ("train", "val"):
        photo(tmp_path / part / "town" / "1.png")
    with pytest.raises(UsageError, match=r"no split 'test'\. Known: train, val\..*\[splits\]"):
        opened(tmp_path, "test")


@pytest.mark.parametrize("place", [".", "list", "splits", "ImageSets/Segmentation"])
@pytest.mark.parametrize(
    "line", ["{}.png", "{}", "images/{}.png", "./images/{}.png 0", "images/{}.png masks/{}.png"]
)
def test_lists_in_the_folder_are_its_splits(tmp_path: Path, place: str, line: str) -> None:
    described(tmp_path, 'classes = ["a"]')
    for number in range(5):
        photo(tmp_path / "images" / f"p {number}.png", (6, 8))
        put(tmp_path / "masks" / f"p {number}.png", np.zeros((6, 8), np.uint8))
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    spaced = "{}" if line.endswith((" 0", "masks/{}.png")) else "p {}"
    if spaced == "{}":
        for path in [*tmp_path.glob("*/p *.png")]:
            path.rename(path.with_name(path.name.removeprefix("p ")))
    for name, numbers in {"train": (0, 3), "test": (4,)}.items():
        lines = [line.replace("{}", spaced.format(n)) for n in numbers]
        (tmp_path / place / f"{name}.txt").write_text("\n".join(lines) + "\n")
    found = parts(tmp_path)
    keys = {name: [k.split("_")[0].removeprefix("p ") for k in p.keys] for name, p in found.items()}
    assert keys == {"train": ["0", "3"], "test": ["4"]}
    shown = "" if place == "." else f"{place}/"
    assert found["test"].split.source == (f"list of the folder: {shown}train.txt, {shown}test.txt")


def test_lists_that_do_not_fit_are_refused_or_are_none(tmp_path: Path) -> None:
    for number in range(5):
        photo(tmp_path / "town" / f"{number}.png")
    for name, text in {"train": "town/0.png\ntown/9.png\n", "test": "town/1.png\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    with pytest.raises(
        DataError, match=r"train\.txt lists 'town/9\.png', which is no image .*1 su"
    ):
        opened(tmp_path)
    (tmp_path / "train.txt").write_text("town/0.png\ntown/1.png\n")
    with pytest.raises(DataError, match=r"town/1\.png is in split 'train' and in 'test'"):
        opened(tmp_path)
    (tmp_path / "train.txt").write_text("notes on training\n")
    assert opened(tmp_path).split.source == "ours: stratified 60/20/20 %, seed 0"
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    assert len(opened(tmp_path)) == 3
