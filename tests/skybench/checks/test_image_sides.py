"""Resized copies of published datasets are told; official, simulated and own images are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from skybench.checks.image_sides import resized_images
from skybench.core import UINT8, DatasetCard, Sample, Samples, Sensor, Split, registry
from skybench.plan.cell import Cell

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
CARD = DatasetCard("toy", "", (), (RGB,), ("a",), {}, "", "", "", "", image_sides=(64,))


class Files(Samples):
    """Samples of some files."""

    card = CARD
    split = Split("train", "official list", "", False)

    def __init__(self, *files: Path) -> None:
        self.files, self.keys = files, tuple(file.name for file in files)

    def read(self, index: int) -> Sample:
        raise NotImplementedError


class Splits:
    """A cell with nothing but its splits."""

    def __init__(self, *splits: Samples) -> None:
        self.splits = {str(number): samples for number, samples in enumerate(splits)}


def told(*splits: Samples) -> str:
    return resized_images(cast(Cell, Splits(*splits)))


def image(path: Path, height: int, width: int) -> Path:
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_images_of_another_side_are_told(tmp_path: Path, suffix: str) -> None:
    right = image(tmp_path / f"a.{suffix}", 64, 64)
    assert told(Files(right)) == ""
    small = image(tmp_path / f"b.{suffix}", 64, 32)
    expected = f"b.{suffix} has 64 x 32 pixels, published are sides of 64"
    assert told(Files(right), Files(right, small)) == expected


def test_simulated_images_and_unknown_sides_are_not_told(tmp_path: Path) -> None:
    samples = Files(image(tmp_path / "a.png", 8, 8), tmp_path / "facts.csv")
    assert told(samples)
    samples.split = replace(samples.split, demo=True)
    assert told(samples) == ""
    samples.split, samples.card = replace(samples.split, demo=False), replace(CARD, image_sides=())
    assert told(samples) == ""


def test_arrays_have_their_sides_last(tmp_path: Path) -> None:
    samples = Files(tmp_path / "a.npy")
    for shape, says in (((4, 2, 64, 64), ""), ((4, 2, 32, 32), "32 x 32 pixels")):
        np.save(tmp_path / "a.npy", np.zeros(shape, np.int16))
        assert says in told(samples)
        assert bool(told(samples)) == bool(says)


def test_a_damaged_file_is_left_to_its_reader(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"damaged")
    assert told(Files(tmp_path / "a.png")) == ""


def test_the_sides_that_cards_state_are_those_of_the_releases() -> None:
    stated = {n: registry.dataset(n).CARD.image_sides for n in registry.names("datasets")}
    assert {n: sides for n, sides in stated.items() if sides} == {
        "aid": (600,), "resisc45": (256,), "eurosat": (64,), "dior": (800,), "dior_r": (800,),
        "levir_cd": (1024,), "potsdam": (6000,), "pastis_mm": (128, 1280), "dyna_pla": (1024,),
    }  # fmt: skip
