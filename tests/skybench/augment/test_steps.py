"""What augmentations do to each kind of target; see skybench.augment.steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from skybench.augment.apply import augment
from skybench.core import Boxes, DatasetCard, Sample, Target

from ._augment import RGB, card, noise

GEOMETRY = ("rotflip=20", "rotate", "resize_crop=0.4,0.6", "crop=40", "randaugment=3,9,0.5")
SIDE = 24


def declared(target: Target | None, task: str = "semantic_segmentation") -> DatasetCard:
    return replace(card(RGB, task=task), target=target)


def sample_of(target: Any) -> Sample:
    return Sample("k", {"hr": noise((1, 3, SIDE, SIDE))}, target)


def drawn(target: Any, name: str, about: DatasetCard, count: int = 12) -> list[Any]:
    """The targets after an augmentation, for some seeds."""
    return [augment(sample_of(target), [name], about, (i,)).target for i in range(count)]


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("kind", [None, Target("values"), Target("values", -9999.0)])
def test_values_from_outside_of_the_image_get_the_ignore_value(
    name: str, kind: Target | None
) -> None:
    biomass = 300 + 10 * torch.rand((SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    known = {*biomass.flatten().tolist()}
    filled = 0
    for target in drawn(biomass, name, declared(kind)):
        assert target.dtype == torch.float32
        outside = target == -9999.0 if kind and kind.ignore else target.isnan()
        filled += int(outside.sum())
        assert {*target[~outside].tolist()} <= known  # nearest neighbour: no value is blended
    assert filled


def test_values_that_nobody_measured_do_not_spread() -> None:
    biomass = torch.arange(SIDE * SIDE, dtype=torch.float32).reshape(SIDE, SIDE)
    biomass[5, 7] = float("nan")
    for target in drawn(biomass, "resize_crop=1,1.3", declared(None)):
        assert target.isnan().sum() <= 4


@pytest.mark.parametrize("most", [0.0, 0.75])
def test_the_share_of_a_class_is_asked_of_masks_alone(most: float) -> None:
    for target in (torch.rand(SIDE, SIDE), torch.rand(4), 2):
        for one in drawn(target, f"resize_crop=0.5,0.6,{most}", declared(None), 3):
            assert getattr(one, "shape", ()) == getattr(target, "shape", ())


@pytest.mark.parametrize("ignore", [0.0, 250.0, None])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16])
def test_masks_are_filled_with_the_value_that_their_card_declares(
    ignore: float | None, dtype: torch.dtype
) -> None:
    mask = torch.full((SIDE, SIDE), 3, dtype=dtype)
    fill = 255 if ignore is None else int(ignore)
    for target in drawn(mask, "resize_crop=0.4,0.5,0.75", declared(Target("mask", ignore))):
        assert {*target.unique().tolist()} == {3, fill}
        assert target.dtype == dtype


def test_a_declared_ignore_value_counts_as_no_class() -> None:
    """Half of each crop is unlabelled; of the rest no class has more than three quarters."""
    mask = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    mask[:, ::4], mask[:, 1::4] = 1, 2
    mask[: SIDE // 2, ::2] = 1
    for target in drawn(mask, "crop=8,0.6", declared(Target("mask", 0.0)), 30):
        share = (target == 1).sum() / (target != 0).sum()
        assert share <= 0.6


def test_values_of_the_whole_image_and_ids_stay() -> None:
    for kind, target in (
        (Target("values"), torch.rand(5)),
        (Target("class"), 3),
        (Target("classes"), torch.tensor([0, 1], dtype=torch.uint8)),
    ):
        for name in (*GEOMETRY, "exchange=1") if kind.kind != "class" else GEOMETRY:
            sample = sample_of(target)
            if name == "exchange=1":
                sample = replace(sample, images={"hr": noise((2, 3, SIDE, SIDE))})
            assert augment(sample, [name], declared(kind), (1,)).target is target


def test_only_masks_of_dates_are_exchanged() -> None:
    images = {"hr": noise((2, 3, 4, 4))}
    target = torch.arange(32, dtype=torch.float32).reshape(2, 4, 4)
    for kind, expected in (
        (Target("masks"), target.flip(0)),
        (Target("mask"), target.flip(0)),  # of single images, but here a sample is a series
        (Target("values"), target),  # two values a pixel, not one a date
    ):
        after = augment(Sample("k", images, target), ["exchange=1"], declared(kind), (0,))
        assert torch.equal(after.target, expected)


def test_masks_of_numpy_are_warped_too() -> None:
    mask: Any = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)
    targets = drawn(mask, "flip", declared(None))
    others = drawn(torch.from_numpy(mask), "flip", declared(None))
    for target, other in zip(targets, others, strict=True):
        assert torch.equal(torch.as_tensor(target), other)
    assert len({str(target) for target in targets}) == 2


def test_declared_boxes_are_warped() -> None:
    corners = torch.tensor([[[2.0, 2], [5, 2], [5, 4], [2, 4]]])
    boxes = Boxes(corners, torch.tensor([0]), torch.tensor([False]), (SIDE, SIDE))
    about = declared(Target("boxes"), "horizontal_detection")
    seen = {round(float(b.corners[0, :, 0].min()), 3) for b in drawn(boxes, "flip", about)}
    assert seen == {2.0, SIDE - 5.0}


@pytest.mark.parametrize(("shape", "turns"), [((6, 6), {0, 1, 2, 3}), ((6, 4), {0, 2})])
def test_quarter_turns_are_as_frequent_as_none(shape: tuple[int, int], turns: set[int]) -> None:
    image = noise((1, 3, *shape))
    mask = image[0, 0].clone()
    counts = dict.fromkeys(turns, 0)
    for seed in range(80):
        found = augment(Sample("k", {"hr": image}, mask), ["quarter"], declared(None), (seed,))
        (turn,) = [t for t in turns if torch.equal(image.rot90(-t, (-2, -1)), found.images["hr"])]
        assert torch.equal(found.target, mask.rot90(-turn, (-2, -1)))
        counts[turn] += 1
    assert min(counts.values()) > 0.6 * 80 / len(turns)
