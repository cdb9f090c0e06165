from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from skybench.checks import train_test_overlap
from skybench.core import registry
from skybench.core.dataset import Subset


def scene(seed: int, side: int = 64) -> Tensor:
    """Smooth random colours, uint8 [1, 3, side, side]."""
    made = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, side // 4, side // 4), generator=made)
    return (F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def compared(train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, Any]:
    prints = [
        [
            p
            for key, image in images.items()
            if (p := train_test_overlap.fingerprint_image(key, image)) is not None
        ]
        for images in (train, test)
    ]
    return train_test_overlap.find_overlap(prints[0], prints[1])


TRAIN = {f"train{i}": scene(i) for i in range(20)}
TEST = {f"test{i}": scene(100 + i) for i in range(20)}


def jpeg(image: Tensor) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(image[0].permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=70)
    return torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)[None]


def test_different_images_are_not_twins() -> None:
    assert compared(TRAIN, TEST) == {"exact": 0, "near": 0, "pairs": []}


def test_exact_twins_are_counted_and_named() -> None:
    found = compared(TRAIN, {**TEST, "again": scene(3), "twice": scene(3)})
    assert found == {"exact": 2, "near": 0, "pairs": [["again", "train3"], ["twice", "train3"]]}


@pytest.mark.parametrize(
    "change",
    [jpeg, lambda x: (x * 0.7 + 30).to(torch.uint8),
     lambda x: F.interpolate(x.float(), (80, 80), mode="bilinear"),
     lambda x: F.pad(x, (0, 32, 0, 16)), lambda x: x.float() / 255],
    ids=["compressed", "darker", "enlarged", "padded", "of another unit"],
)  # fmt: skip
def test_near_twins_are_told(change: Any) -> None:
    found = compared(TRAIN, {**TEST, "again": change(scene(3))})
    assert found == {"exact": 0, "near": 1, "pairs": [["again", "train3"]]}


def test_the_same_padding_makes_no_twins() -> None:
    train, test = (
        {key: F.pad(image[..., :40, :40], (0, 60, 0, 90)) for key, image in images.items()}
        for images in (TRAIN, TEST)
    )
    assert compared(train, test) == {"exact": 0, "near": 0, "pairs": []}


def test_empty_and_plain_images_make_no_twins() -> None:
    empty = {"a": torch.zeros(1, 3, 32, 32), "b": torch.full((1, 3, 32, 32), 7)}
    assert compared(empty, empty) == {"exact": 0, "near": 0, "pairs": []}
    strip = torch.zeros(1, 3, 32, 32)
    strip[..., :3, :] = torch.arange(32.0)
    other = strip.clone()
    other[..., 0, 0] += 1
    assert compared({"a": strip}, {"b": other})["near"] == 0


def test_only_some_pairs_are_shown_and_the_reason_says_how_many_were_looked_at() -> None:
    found = compared(TRAIN, {f"again {key}": image for key, image in TRAIN.items()})
    assert found["exact"] == 20
    assert len(found["pairs"]) == train_test_overlap.SHOWN
    looked = {"train": [20, 500], "test": [20, 30]}
    said = train_test_overlap.overlap_reason({**found, "looked": looked})
    assert said.startswith("20 of 20 test images are in train (20 exactly), as again train0 is")
    assert said.endswith("looked at 20 of 30 and at 20 of 500")
    assert train_test_overlap.overlap_reason({**compared(TRAIN, TEST), "looked": looked}) == ""


def test_real_chips_have_no_twins_until_they_are_made(shared: Path) -> None:
    root, eurosat = shared / "realdata" / "eurosat_rgb", registry.load("datasets", "eurosat")
    train, test = (
        {s.key: s.images["s2"] for s in Subset(whole, range(0, len(whole), 6))}
        for whole in (eurosat.open(root, "train"), eurosat.open(root, "test"))
    )
    assert compared(train, test) == {"exact": 0, "near": 0, "pairs": []}
    key = next(iter(train))
    assert compared(train, {**test, "again": train[key]})["pairs"] == [["again", key]]
    assert compared(train, {**test, "again": jpeg(train[key])})["pairs"] == [["again", key]]
