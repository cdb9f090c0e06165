from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.boxes import iou
from skybench.boxes.geometry import to_corners, to_rotated
from skybench.boxes.iou import overlapping_pairs, paired_iou, rotated_iou

from ._kinds import EACH, FEW, coarseness, iou_by_shapely, pairs

CASES = settings(max_examples=80, deadline=None, derandomize=True, database=None)
TURN = math.pi / 2

# Pairs of boxes with their IoU.
KNOWN = {
    "equal": ([5, 5, 4, 2, 0.3], [5, 5, 4, 2, 0.3], 1),
    "equal, turned by half": ([5, 5, 4, 2, 0.3], [5, 5, 4, 2, 0.3 + math.pi], 1),
    "equal, sides swapped": ([5, 5, 4, 2, 0.3], [5, 5, 2, 4, 0.3 + TURN], 1),
    "square turned by a quarter": ([5, 5, 4, 4, 0.3], [5, 5, 4, 4, 0.3 - TURN], 1),
    "a quarter turn": ([0, 0, 4, 2, 0.7], [0, 0, 4, 2, 0.7 + TURN], 4 / 12),
    "hardly turned": ([0, 0, 4, 2, 1e-310], [1, 0, 4, 2, 0], 0.6),
    "an eighth of a turn": ([0, 0, 2, 2, 0], [0, 0, 2, 2, TURN / 2], 1 / math.sqrt(2)),
    "side by side": ([0, 0, 2, 2, 0], [2, 0, 2, 2, 0], 0),
    "corner to corner": ([0, 0, 2, 2, 0], [2, 2, 2, 2, 0], 0),
    "corner to side": ([0, 0, 2, 2, 0], [1 + math.sqrt(2), 0, 2, 2, TURN / 2], 0),
    "one side in common": ([0, 0, 4, 4, 0], [1, 0, 2, 4, 0], 0.5),
    "nested": ([0, 0, 10, 10, 0.2], [1, 1, 1, 2, 1.1], 0.02),
    "far away": ([0, 0, 10, 10, 0.2], [1000, 0, 10, 10, 0.2], 0),
    "boxes around meet, they do not": ([0, 0, 20, 1, TURN / 2], [5, -5, 4, 1, TURN / 2], 0),
    "tiny": ([0, 0, 1e-6, 1e-6, 1], [0.5e-6, 0, 1e-6, 1e-6, 1], None),
    "huge": ([0, 0, 1e7, 1e6, 0.5], [10, 0, 1e7, 1e6, 0.5], None),
    "tiny in huge": ([0, 0, 1e6, 1e6, 0.5], [3e5, 0, 1e-3, 1e-3, 0.1], 1e-18),
    "thin, crossed": ([0, 0, 1000, 1e-3, 0.4], [0, 0, 1000, 1e-3, 0.4 + TURN], None),
    "negative coordinates": ([-50, -50, 4, 2, 0], [-51, -50, 4, 2, 0], 0.6),
    "no area": ([0, 0, 4, 0, 0.3], [0, 0, 4, 2, 0.3], 0),
    "no area, equal": ([0, 0, 4, 0, 0.3], [0, 0, 4, 0, 0.3], 0),
    "a point": ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_pairs(name: str) -> None:
    one, other, expected = KNOWN[name]
    a, b = np.array([one], np.float64), np.array([other], np.float64)
    # Far from its pair or many times as large, a box is only as precise as its coordinates.
    scale = max(np.abs([a, b]).max(), 10) / min(s for s in (a[0, 3], b[0, 3], 1) if s)
    tolerance = 1e-14 * scale
    (found,) = paired_iou(a, b)
    assert found == pytest.approx(iou_by_shapely(a, b)[0], abs=tolerance)
    assert paired_iou(b, a)[0] == pytest.approx(found, abs=tolerance)
    assert expected is None or found == pytest.approx(expected, abs=1e-12)
    assert rotated_iou(a, b).tolist() == [[found]]
    assert rotated_iou(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(found)


@st.composite
def some_boxes(draw: st.DrawFn) -> np.ndarray:
    """Boxes of which many share sides, corners, directions or places."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.booleans())
    scale = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    count = 24
    at = rng.integers(0, 5, (count, 2)) if grid else rng.uniform(0, 5, (count, 2))
    sides = rng.integers(0, 5, (count, 2)) if grid else 10 ** rng.uniform(-3, 1, (count, 2))
    turns = rng.choice([0, 1, 2, 3, 0.5], count) * TURN
    angles = turns if grid else turns + rng.choice([0, 1, 1e-9], count) * rng.normal(0, 1, count)
    return np.column_stack([at * scale, sides * scale, angles])


@CASES
@given(some_boxes())
def test_it_equals_shapely(boxes: np.ndarray) -> None:
    found = rotated_iou(boxes, boxes[::-1])
    a, b = np.repeat(boxes, len(boxes), 0), np.tile(boxes[::-1], (len(boxes), 1))
    np.testing.assert_allclose(found.ravel(), iou_by_shapely(a, b), atol=1e-11)
    np.testing.assert_allclose(found.ravel(), paired_iou(a, b), atol=1e-13)
    np.testing.assert_allclose(found, rotated_iou(boxes[::-1], boxes).T, atol=1e-11)
    own = np.diagonal(rotated_iou(boxes, boxes))
    np.testing.assert_allclose(own, boxes[:, 2] * boxes[:, 3] > 0, atol=1e-12)


@EACH
@FEW
@given(st.data())
def test_every_kind_of_pair_equals_shapely(kind: str, data: st.DataObject) -> None:
    a, b = data.draw(pairs(kind))
    expected, precision = iou_by_shapely(a, b), coarseness(a, b)
    if kind == "touching":
        np.testing.assert_allclose(expected, 0, atol=1e-12)
    if kind == "nested":
        np.testing.assert_allclose(expected, b[:, 2:4].prod(1) / a[:, 2:4].prod(1))
    np.testing.assert_allclose(paired_iou(a, b), expected, atol=1e-13 * precision)
    np.testing.assert_allclose(paired_iou(b, a), expected, atol=1e-13 * precision)
    one, other = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(paired_iou(one, other), expected, atol=1e-13 * precision)
    rough = paired_iou(one.float(), other.float())
    assert ((rough >= 0) & (rough <= 1)).all()
    np.testing.assert_allclose(rough, expected, atol=min(1, 1e-5 * precision))


@EACH
@FEW
@given(st.data())
def test_every_kind_of_pair_has_a_gradient(kind: str, data: st.DataObject) -> None:
    a, b = (torch.from_numpy(boxes).requires_grad_() for boxes in data.draw(pairs(kind)))
    for gradient in torch.autograd.grad(paired_iou(a, b).sum(), (a, b)):
        assert torch.isfinite(gradient).all()
    if kind in ("nested", "outside"):  # where nothing touches, there is no kink
        assert torch.autograd.gradcheck(paired_iou, (a[:2], b[:2]), eps=1e-7, atol=1e-4)


@CASES
@given(some_boxes(), st.floats(-3, 3))
def test_it_depends_on_the_places_relative_to_each_other_only(
    boxes: np.ndarray, angle: float
) -> None:
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = np.column_stack([boxes[:, :2] @ turn + 3, boxes[:, 2:4], boxes[:, 4] + angle])
    np.testing.assert_allclose(rotated_iou(turned, turned), rotated_iou(boxes, boxes), atol=1e-8)


def test_corners_and_back_change_nothing() -> None:
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.uniform(0, 50, (40, 2)), rng.uniform(1, 30, (40, 3))])
    again = to_rotated(to_corners(boxes))
    np.testing.assert_allclose(rotated_iou(again, boxes), rotated_iou(boxes, boxes), atol=1e-12)


def test_an_area_of_rounding_errors_is_none() -> None:
    """Such as the smallest rectangles around points in a line have."""
    lines = to_rotated(np.array([[[0, 0], [3, 9], [1, 3], [2, 6]], [[0.1, 0.3], [0.7, 2.1]] * 2]))
    lines[:, 3] = [8.9e-16, 1e-16]
    apart = lines + np.array([30.0, 10, 0, 0, 0.6])
    assert not rotated_iou(np.concatenate([lines, apart]), lines).any()
    assert not paired_iou(apart, lines).any()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_torch_gives_the_same(dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    boxes = np.column_stack([rng.uniform(0, 99, (60, 2)), rng.uniform(3, 50, (60, 3))])
    tensor = torch.from_numpy(boxes).to(dtype)
    found = rotated_iou(tensor, tensor[:50])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, rotated_iou(boxes, boxes[:50]), atol=tolerance)


def test_gradients_are_those_of_the_overlap() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([9, 9, 8, 8, 3.0], dtype=torch.float64)
    least = torch.tensor([0, 0, 2, 2, 0.0], dtype=torch.float64)
    a, b = (
        (torch.rand(6, 5, generator=generator, dtype=torch.float64) * spread + least)
        for _ in range(2)
    )
    a.requires_grad_()
    b.requires_grad_()
    assert (rotated_iou(a, b) > 0).sum() > 10
    assert torch.autograd.gradcheck(rotated_iou, (a, b))
    level = torch.tensor([[0, 0, 4, 2, 0.0]], dtype=torch.float64, requires_grad=True)
    moved = torch.tensor([[1, 0.5, 4, 2, 0.0]], dtype=torch.float64)
    (found,) = torch.autograd.grad(rotated_iou(level, moved).sum(), level)  # parallel sides
    # The IoU is 4.5 / 11.5; a step to the right adds 1.5 to the overlap, a step down 3.
    assert found[0, :2].tolist() == pytest.approx([1.5 * 16 / 11.5**2, 3 * 16 / 11.5**2])


@pytest.mark.parametrize("array", [np.zeros, torch.zeros])
def test_no_box_is_no_trouble(array: Any) -> None:
    assert rotated_iou(array((0, 5)), array((3, 5))).shape == (0, 3)
    assert rotated_iou(array((3, 5)), array((0, 5))).shape == (3, 0)
    assert paired_iou(array((0, 5)), array((0, 5))).shape == (0,)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    boxes = np.column_stack([rng.uniform(0, 20, (30, 2)), rng.uniform(3, 9, (30, 3))])
    whole = rotated_iou(boxes, boxes)
    monkeypatch.setattr(iou, "BLOCK", 7)
    monkeypatch.setattr(iou, "CELLS", 100)
    np.testing.assert_array_equal(rotated_iou(boxes, boxes), whole)


def test_boxes_that_touch_in_a_point_are_found() -> None:
    a = np.array([[0, 0, 1, 1], [5, 5, 6, 6.0]])
    b = np.array([[1, 1, 2, 2], [0.2, 0.2, 0.3, 0.3], [7, 5, 8, 6.0]])
    first, second = overlapping_pairs(a, b)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 0), (0, 1)]
