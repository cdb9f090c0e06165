"""Regions of COCO's JSON as masks: polygons and run-length codes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError

from ._box_folders import FEW, HEIGHT, JSON, WIDTH, car, coco, opened, picture, written

seg: Any = importlib.import_module("skybench.datasets._readers.coco_segmentation")
SQUARE = [[10, 20, 30, 20, 30, 30, 10, 30]]  # as `car` has it
TOML = 'masks = "boxes.json"\nclasses = ["land", "car", "bus"]\n[splits]\ntrain = ["*"]\n'


def counts_of(mask: np.ndarray) -> list[int]:
    """Return the runs of a mask, down the columns, the first of background."""
    flat = mask.T.ravel().astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


def compressed(counts: list[int]) -> str:
    """Encode runs. Source: cocodataset/cocoapi common/maskApi.c, rleToString, by its definition."""
    text = ""
    for i, count in enumerate(counts):
        x, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits = x & 31
            x >>= 5
            more = x != -1 if bits & 16 else x != 0
            text += chr((bits | 32 if more else bits) + 48)
    return text


def test_a_hand_made_code() -> None:
    # Runs 6, 2, 2, 2: two columns of 2 pixels in the middle of 4 x 3; each below 16, one letter.
    # From the fourth run on the difference to the second before it: 2 - 2 = 0.
    mask = seg.decode_rle("a", {"size": [4, 3], "counts": "6220"}, (4, 3))
    assert mask.astype(int).tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 1], [0, 1, 1]]


@FEW
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_codes_give_the_mask_back(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    size = [height, width]
    for counts in (counts_of(mask), compressed(counts_of(mask))):
        decoded = seg.decode_rle("a", {"size": size, "counts": counts}, (height, width))
        np.testing.assert_array_equal(decoded, mask)


@FEW
@given(st.text(max_size=20) | JSON, JSON)
def test_any_code_gives_a_mask_or_one_sentence(counts: Any, size: Any) -> None:
    for given_size in (size, [3, 4]):
        told = "annotation 1 has a mask"
        try:
            mask = seg.decode_rle("annotation 1", {"size": given_size, "counts": counts}, (3, 4))
        except DataError as error:
            told = str(error)
        else:
            assert mask.shape == (3, 4)
        assert told.startswith("annotation 1 has a mask")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "images" / "a.png")
    written(tmp_path / "skybench.toml", TOML)
    return tmp_path


def test_later_regions_lie_over_earlier_ones(folder: Path) -> None:
    runs = np.zeros((HEIGHT, WIDTH), bool)
    runs[25:40, 20:60] = True
    code = {"size": [HEIGHT, WIDTH], "counts": compressed(counts_of(runs))}
    boxes = [car(segmentation=SQUARE), car(category_id=2, segmentation=code)]
    coco(folder / "boxes.json", ["a.png"], boxes)
    samples = opened(folder, tile=64)
    assert samples.card.tasks == ("semantic_segmentation",)
    assert samples.card.classes == ("land", "car", "bus")
    assert samples.class_counts() == {"car": 1, "bus": 1}
    whole = np.full((64, 128), 9, np.uint8)
    for key, sample in zip(samples.keys, samples, strict=True):
        x = int(key.rsplit("_", 1)[1])
        whole[:, x : x + 64] = sample.target.numpy()
        assert sample.images["hr"].shape == (1, 3, 64, 64)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[20:30, 10:30] = 1
    expected[runs] = 2
    np.testing.assert_array_equal(whole[:HEIGHT, :WIDTH], expected)
    assert (whole[HEIGHT:, :WIDTH] == 255).all()


def test_pixels_in_no_region_are_ignored_without_a_class_for_them(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [car(segmentation=SQUARE)])
    (folder / "skybench.toml").write_text('masks = "boxes.json"\n[splits]\ntrain = ["*"]\n')
    samples = opened(folder, tile=96)
    assert samples.card.classes == ("car", "bus")
    assert np.unique(samples.target(0).numpy()).tolist() == [0, 255]
    assert "class 'bus' has no region in the masks of train" in samples.notes
    before = samples.content()
    coco(folder / "boxes.json", ["a.png"], [car(segmentation=[[0, 0, 9, 0, 9, 9]])])
    after = opened(folder, tile=96).content()
    assert (before.images, before.labels) != (after.images, after.labels)
    assert before.images == after.images


@pytest.mark.parametrize(
    ("classes", "what"),
    [
        ('["land", "sea", "car", "bus"]', "land, sea are no categories"),
        ('["land", "bus"]', "regions of the category 'car'"),
    ],
)
def test_classes_must_fit_the_categories(folder: Path, classes: str, what: str) -> None:
    coco(folder / "boxes.json", ["a.png"], [car(segmentation=SQUARE)])
    (folder / "skybench.toml").write_text(f'masks = "boxes.json"\nclasses = {classes}\n')
    with pytest.raises(DataError, match=what):
        opened(folder)


def test_one_category_needs_a_class_for_the_rest(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [car(segmentation=SQUARE)], ("car",))
    (folder / "skybench.toml").write_text('masks = "boxes.json"\n')
    with pytest.raises(DataError, match=r'classes = \["background", "car"\]'):
        opened(folder)


def test_a_box_without_segmentation_is_named(folder: Path) -> None:
    coco(folder / "boxes.json", ["a.png"], [car()])
    samples = opened(folder)
    with pytest.raises(DataError, match=r"annotation 1, has no segmentation"):
        samples.target(0)
