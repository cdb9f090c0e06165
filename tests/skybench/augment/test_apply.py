"""Augmentations by their names; see skybench.augment.apply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.augment.apply import STEPS, augment, check_augmentations, effective_augmentations
from skybench.core import Sample, UsageError

from ._augment import RGB, S1, S2, card, noise, same


def several(height: int, width: int, dates: int = 2) -> Sample:
    """Three sensors: one with sides of a quarter of the first, one with a single pixel."""
    images = {
        "hr": noise((dates, 3, height, width)),
        "s2": noise((dates, 2, -(-height // 4), -(-width // 4)), torch.int16),
        "s1": noise((1, 2, 1, 1), torch.float32) - 200.5,
    }
    return Sample("k", images, noise((height, width)) // 100, {"hr": torch.arange(dates)})


@pytest.mark.parametrize("name", [*STEPS])
@pytest.mark.parametrize(("height", "width", "dates"), [(1, 1, 2), (17, 9, 1), (12, 12, 4)])
def test_odd_sizes_and_single_pixels_keep_their_kind(
    name: str, height: int, width: int, dates: int
) -> None:
    before = several(height, width, 2 if name == "exchange" else dates)
    texts = {n: (x.clone(), x.dtype) for n, x in before.images.items()}
    for seed in range(8):
        given_ = [name if name != "crop" else "crop=7"]
        after = augment(before, given_, card(RGB, S2, S1), (seed,))
        for sensor, (x, dtype) in texts.items():
            assert torch.equal(before.images[sensor], x), "the sample itself was changed"
            assert after.images[sensor].dtype == dtype
            assert after.images[sensor].shape[:2] == x.shape[:2]
            if name != "crop":
                assert after.images[sensor].shape == x.shape
        assert after.images["hr"].shape[-2:] == after.target.shape
        assert (after.images["s1"] < 0).all(), "0 is a strong echo"


@settings(max_examples=25, deadline=None)
@given(st.permutations([n for n in STEPS if n != "crop"]), st.integers(0, 999))
def test_the_seed_alone_decides(names: list[str], seed: int) -> None:
    sample, about = several(16, 16), card(RGB, S2, S1)
    first = augment(sample, names, about, (0, 1, seed))
    torch.manual_seed(seed)
    state = torch.random.get_rng_state(), str(np.random.get_state())
    assert same(first, augment(sample, names, about, (0, 1, seed)))
    assert torch.equal(state[0], torch.random.get_rng_state())
    assert state[1] == str(np.random.get_state())


@pytest.mark.parametrize("name", [*STEPS])
def test_seeds_differ(name: str) -> None:
    sample, about = several(16, 16), card(RGB, S2, S1)
    name = "crop=7" if name == "crop" else name
    seen = [augment(sample, [name], about, (0, 0, i)) for i in range(24)]
    assert any(not same(seen[0], other) for other in seen[1:])
    assert not same(*(augment(sample, ["crop=4"], about, (0, epoch, 0)) for epoch in (0, 1)))


def test_half_of_the_images_are_mirrored() -> None:
    sample = several(8, 8)
    done = [
        torch.equal(
            augment(sample, ["flip"], card(RGB), (0, 0, i)).images["hr"],
            sample.images["hr"].flip(-1),
        )
        for i in range(200)
    ]
    assert 70 < sum(done) < 130


def test_ids_and_classes_stay() -> None:
    for target in (3, torch.tensor([0, 1, 1], dtype=torch.uint8)):
        sample = replace(several(12, 12), target=target)
        found = augment(sample, ["rotate", "crop=5", "erase=1", "randaugment"], card(RGB), (1,))
        assert found.target is target


def test_an_exchange_takes_days_and_masks_of_dates_along() -> None:
    masks = torch.tensor([1, 2], dtype=torch.uint8)[:, None, None].expand(2, 4, 4)
    single = noise((1, 2, 2, 2), torch.float32)
    images = {"hr": noise((2, 3, 4, 4)), "s1": single}
    sample = Sample("k", images, masks, {"hr": torch.tensor([5, 9])})
    found = augment(sample, ["exchange=1"], card(RGB, S1), (0,))
    assert torch.equal(found.images["hr"], images["hr"].flip(0))
    assert torch.equal(found.images["s1"], single)
    assert found.days["hr"].tolist() == [9, 5]
    assert found.target[:, 0, 0].tolist() == [2, 1]
    assert same(augment(sample, ["exchange=0"], card(RGB), (0,)), sample)
    change = replace(sample, target=noise((4, 4)) // 100)
    assert torch.equal(augment(change, ["exchange=1"], card(RGB), (0,)).target, change.target)


@pytest.mark.parametrize("dates", [1, 3])
def test_only_a_pair_can_be_exchanged(dates: int) -> None:
    sample = Sample("k", {"hr": noise((dates, 3, 4, 4))}, 0)
    with pytest.raises(UsageError, match="two dates"):
        augment(sample, ["exchange"], card(RGB), (0,))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flipp", "No augmentation 'flipp'. Did you mean 'flip'"),
        ("flip=1", "'flip' without numbers"),
        ("crop", "crop=pixels"),
        ("crop=", "crop=pixels"),
        ("crop=2.5", "whole"),
        ("crop=0", "crop=pixels"),
        ("crop=8,1.5", "largest share of a class"),
        ("erase=nan", "chance .0 to 1."),
        ("erase=often", "chance .0 to 1."),
        ("erase=0.1,0.2", "chance .0 to 1."),
        ("resize_crop=2,0.5", "least <= most"),
        ("resize_crop=0,1", "least"),
        ("photometric=32,1.5,0.5", "least contrast <= most contrast"),
        ("randaugment=2.5", "operations"),
        ("randaugment=2,11", "level"),
        ("exchange=-1", "chance"),
    ],
)
def test_mistakes_are_told_at_once(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_augmentations(["flip", name])
    with pytest.raises(UsageError, match=message):
        effective_augmentations([name], card(RGB))
    with pytest.raises(UsageError, match=message):
        augment(Sample("k", {"hr": noise((1, 3, 4, 4))}, 0), [name], card(RGB), (0,))


def test_recipes_names_are_known() -> None:
    check_augmentations([
        *("flip", "vflip", "rotflip=20", "resize_crop=0.5,2.0,0.75", "crop=256", "crop=256,0.75"),
        *("photometric", "photometric=10,0.8,1.2,0.8,1.2,10", "randaugment=2,9,0.5", "erase=0.25"),
        *("exchange=0.5", "resized_crop=0.08,1", "rotate", "quarter"),
    ])  # fmt: skip
