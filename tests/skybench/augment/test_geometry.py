"""Images, masks and boxes move together; see skybench.augment.geometry."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skybench.augment.apply import augment
from skybench.augment.geometry import RelativeWindow, reflection, rotation, warp, warp_boxes
from skybench.boxes.geometry import flip_corners, to_rotated
from skybench.core import REFLECTANCE, Boxes, DataError, Sample, UsageError

from ._augment import RGB, S1, card, noise

MOVES = (
    *("flip", "vflip", "rotflip=20", "quarter", "rotate"),
    *("resize_crop=0.5,2,0.9", "crop=13", "crop=40"),
)
GEOMETRY = (*MOVES, "resized_crop=0.2,1")
ORIENTED = card(RGB, task="oriented_detection")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(GEOMETRY), st.integers(0, 999), st.integers(8, 31), st.integers(8, 31))
def test_a_mask_moves_with_its_image(name: str, seed: int, height: int, width: int) -> None:
    mask = (noise((1, -(-height // 6), -(-width // 6)), seed=seed) // 100).float()
    mask = mask.repeat_interleave(6, 1).repeat_interleave(6, 2)[0, :height, :width].byte()
    image = (mask * 200).expand(2, 3, height, width)
    found = augment(Sample("k", {"hr": image}, mask), [name], card(RGB), (seed, 0, 3))
    seen, target = found.images["hr"], found.target
    assert seen.dtype == target.dtype == torch.uint8
    assert seen.shape[-2:] == target.shape
    known = target != 255
    # Bilinear and nearest agree on which side of a border a pixel's middle lies.
    wrong = ((seen[0, 0] > 100) != (target == 1)) & known & (seen[0, 0] != 100)
    assert wrong.float().mean() < (0.0 if name in ("flip", "vflip", "crop=13") else 0.02) + 1e-9
    assert torch.equal(seen[0], seen[1])
    assert set(target.unique().tolist()) <= {0, 1, 255}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from((*MOVES, "randaugment=3,5")),
    st.integers(0, 999),
    st.integers(0, 26),
    st.integers(0, 18),
)
def test_a_painted_object_is_where_its_box_says(name: str, seed: int, x: int, y: int) -> None:
    image = torch.zeros(1, 3, 24, 32, dtype=torch.uint8)
    image[..., y : y + 6, x : x + 6] = 200
    corners = torch.tensor([[[x, y], [x + 6, y], [x + 6, y + 6], [x, y + 6]]], dtype=torch.float32)
    boxes = Boxes(corners, torch.tensor([7]), torch.tensor([True]), (24, 32))
    names = [name.replace("13", "20")]
    grey = card(replace(RGB, unit=REFLECTANCE), task="oriented_detection")
    found = augment(Sample("k", {"hr": image}, boxes), names, grey, (seed,))
    seen, target = found.images["hr"][0, 0] > 100, found.target
    assert target.size == tuple(seen.shape)
    if not len(target.labels):
        assert seen.sum() < 0.75 * 36 * 4
        return
    assert target.labels.tolist() == [7]
    assert target.difficult.tolist() == [True]
    rows, columns = torch.nonzero(seen, as_tuple=True)
    points = torch.stack([columns, rows], -1) + 0.5
    middle, area = target.corners[0].mean(0), _area(target.corners[0])
    assert 0.65 * area - 8 <= len(points) <= area * 1.1 + 8
    if (target.corners >= 0).all() and (target.corners <= torch.tensor([32, 24])).all():
        assert (points.mean(0) - middle).abs().max() < 0.6


def _area(corners: Tensor) -> float:
    x, y = corners[:, 0], corners[:, 1]
    return float((x * y.roll(-1) - y * x.roll(-1)).sum() / 2)  # positive: clockwise on the screen


def test_boxes_of_mirrored_images_are_those_of_the_detectors() -> None:
    corners = torch.tensor([[[2.0, 3], [9, 5], [8, 8], [1, 6]], [[-4, 0], [2, 0], [2, 4], [-4, 4]]])
    boxes = Boxes(corners, torch.arange(2), torch.zeros(2, dtype=torch.bool), (10, 12))
    for axis in (0, 1):
        found = warp_boxes(boxes, reflection(axis))
        assert torch.allclose(found.corners, flip_corners(corners, (12, 10)[axis], axis))
        assert found.labels.tolist() == [0, 1]  # nothing was lost of the one that was cut before


def test_an_object_stays_if_seven_tenths_of_it_are_seen() -> None:
    corners = torch.tensor([[[0.0, 0], [10, 0], [10, 10], [0, 10]]]) + torch.tensor([50.0, 50])
    boxes = Boxes(corners, torch.tensor([0]), torch.tensor([False]), (100, 100))
    for cut, kept in ((0, 1), (2.9, 1), (3.1, 0), (10, 0)):
        found = warp_boxes(boxes, RelativeWindow(0.5, (50 + cut) / 100, 0.5, 0.4).crop())
        assert len(found.labels) == kept
        if kept:
            assert torch.allclose(found.corners, corners - torch.tensor([50 + cut, 50.0]))
            assert found.size == (50, 40)


def test_no_boxes_and_degenerate_ones_can_be_moved() -> None:
    none = Boxes(torch.zeros(0, 4, 2), torch.zeros(0).long(), torch.zeros(0).bool(), (8, 8))
    point = Boxes(torch.full((1, 4, 2), 3.0), torch.tensor([1]), torch.tensor([False]), (8, 8))
    for seed in range(5):
        for boxes in (none, point):
            sample = Sample("k", {"hr": noise((1, 3, 8, 8))}, boxes)
            found = augment(sample, ["flip", "rotate", "resize_crop"], ORIENTED, (seed,))
            assert len(found.target.labels) <= len(boxes.labels)
    assert len(warp_boxes(point, rotation(30, (8, 8))).labels) == 1


def test_boxes_without_the_size_of_their_image_are_refused() -> None:
    boxes = Boxes(torch.zeros(1, 4, 2), torch.tensor([0]), torch.tensor([False]))
    with pytest.raises(DataError, match="size of their image"):
        augment(Sample("k", {"hr": noise((1, 3, 8, 8))}, boxes), ["crop=4"], ORIENTED, (0,))


def test_a_turned_object_has_its_sides_and_a_turned_angle() -> None:
    corners = torch.tensor([[[20.0, 30], [40, 30], [40, 36], [20, 36]]])
    boxes = Boxes(corners, torch.tensor([0]), torch.tensor([False]), (64, 96))
    turn = warp_boxes(boxes, rotation(25, (64, 96)))
    _, _, w, h, angle = to_rotated(turn.corners.double())[0].tolist()
    assert (w, h, math.degrees(angle)) == pytest.approx((20, 6, 25), abs=1e-4)


@pytest.mark.parametrize("name", ["rotflip=20", "rotate", "quarter", "randaugment=2,9,0.5"])
def test_horizontal_boxes_are_not_turned(name: str) -> None:
    corners = torch.tensor([[[2.0, 2], [5, 2], [5, 4], [2, 4]]])
    boxes = Boxes(corners, torch.tensor([0]), torch.tensor([False]), (8, 8))
    sample = Sample("k", {"hr": noise((1, 3, 8, 8))}, boxes)
    about = card(RGB, task="horizontal_detection")
    with pytest.raises(UsageError, match="horizontal; use flip"):
        augment(sample, ["flip", name], about, (0,))
    for seed in range(5):
        found = augment(sample, ["flip", "vflip", "resize_crop", "photometric"], about, (seed,))
        for box in found.target.corners:
            assert len({round(float(v), 4) for v in box[:, 0]}) == 2
            assert len({round(float(v), 4) for v in box[:, 1]}) == 2
            assert _area(box) > 0


def test_quarter_turns_are_exact_in_any_dtype() -> None:
    for dtype in (torch.uint8, torch.int16, torch.int32, torch.float32):
        x = noise((2, 3, 5, 5), dtype)
        found = warp(Sample("k", {"hr": x}, 0), rotation(90, (5, 5)), card(RGB)).images["hr"]
        assert torch.equal(found, torch.rot90(x, -1, (-2, -1)))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GEOMETRY), st.integers(0, 999), st.integers(3, 8), st.integers(3, 8))
def test_every_sensor_shows_the_same_ground(name: str, seed: int, rows: int, columns: int) -> None:
    """Images of the ground's coordinates: blocks of fine pixels average to the coarse ones."""
    x, y = torch.meshgrid(torch.arange(columns * 4.0), torch.arange(rows * 4.0), indexing="xy")
    fine = torch.stack([x, y])[None] + 0.5
    coarse = torch.nn.functional.avg_pool2d(fine, 4)
    sample = Sample("k", {"s1": fine, "s2": coarse}, torch.zeros(rows * 4, columns * 4).byte())
    found = augment(sample, [name.replace("13", "8")], card(S1), (seed,))
    small = torch.nn.functional.avg_pool2d(found.images["s1"], 4)
    size = torch.tensor([columns, rows]).reshape(2, 1, 1) * 4
    # Between the middles of the outermost coarse pixels both can tell where they are.
    known = (found.images["s1"] > 2) & (found.images["s1"] < size - 2) & (found.target == 0)
    known = torch.nn.functional.avg_pool2d(known.all(1).float(), 4) == 1
    off = (small - found.images["s2"]).abs().amax(1)
    assert off[known].numel() or name != "flip"
    assert (off[known] < 1e-2).all()


def test_a_crowd_region_that_is_cut_off_is_kept() -> None:
    corners = torch.tensor([[[0.0, 0], [10, 0], [10, 10], [0, 10]]]).repeat(2, 1, 1)
    flags = torch.tensor([0, 0]), torch.tensor([False, False])
    target = Boxes(corners, *flags, size=(10, 10), crowd=torch.tensor([False, True]))
    grey = card(RGB, task="oriented_detection")
    found = augment(Sample("k", {"hr": noise((1, 3, 10, 10))}, target), ["crop=5"], grey, (1,))
    assert found.target.crowds.tolist() == [True]
    assert found.target.size == (5, 5)


def test_masks_of_dates_move_alike() -> None:
    masks = noise((3, 10, 10)) // 100
    sample = Sample("k", {"hr": noise((3, 3, 10, 10))}, masks)
    found = augment(sample, ["crop=4"], card(RGB), (5,)).target
    places = [(y, x) for y in range(7) for x in range(7)]
    assert sum(torch.equal(found, masks[:, y : y + 4, x : x + 4]) for y, x in places) == 1


def test_what_comes_from_outside_is_ignored_and_has_the_mean_of_its_band() -> None:
    sample = Sample("k", {"s1": noise((2, 2, 6, 6), torch.float32) - 30}, noise((6, 6)) // 100)
    found = augment(sample, ["crop=9"], card(S1), (0,))
    assert found.target.shape == (9, 9)
    assert (found.target[6:] == 255).all()
    assert (found.target[:, 6:] == 255).all()
    assert torch.equal(found.target[:6, :6], sample.target)
    mean = sample.images["s1"].mean((-2, -1))
    assert torch.allclose(found.images["s1"][..., 8, 8], mean)
    assert torch.equal(found.images["s1"][..., :6, :6], sample.images["s1"])


def test_no_class_fills_a_crop() -> None:
    mask = torch.zeros(40, 40, dtype=torch.uint8)
    mask[:, 20:] = 1
    mask[0, :] = 255
    sample = Sample("k", {"hr": noise((1, 3, 40, 40))}, mask)

    def shares(name: str) -> list[float]:
        targets = [augment(sample, [name], card(RGB), (i,)).target for i in range(60)]
        return [float(t[t < 255].bincount().max() / (t < 255).sum()) for t in targets]

    assert max(shares("crop=16")) == 1
    assert max(shares("crop=16,0.75")) <= 0.75
    assert max(shares("resize_crop=1.5,2,0.75")) <= 0.75 + 1 / 20


def test_a_mask_of_one_class_is_cropped_all_the_same() -> None:
    for label in (0, 255):
        mask = torch.full((9, 9), label, dtype=torch.uint8)
        sample = Sample("k", {"hr": noise((1, 3, 9, 9))}, mask)
        assert augment(sample, ["crop=4,0.5"], card(RGB), (0,)).target.shape == (4, 4)
