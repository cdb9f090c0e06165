from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from skybench.boxes.geometry import le90, to_corners, to_horizontal
from skybench.boxes.iou import paired_iou
from skybench.heads._two_stage import SCORE
from skybench.heads.oriented_rcnn import (
    NMS,
    SETTINGS,
    OrientedKind,
    decode_midpoints,
    decode_rotated,
    encode_midpoints,
    encode_rotated,
)

KIND = OrientedKind()
FRAME = (200, 300)
PLACE = st.floats(0, 200)
SIDE = st.floats(2, 150)
ANGLE = st.floats(-1.57, 1.57)
ROTATED = st.tuples(PLACE, PLACE, SIDE, SIDE, ANGLE)


def row(values: tuple[float, ...]) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


@settings(deadline=None, max_examples=60)
@given(ROTATED, st.tuples(PLACE, PLACE, SIDE, SIDE))
def test_midpoint_offsets_lead_back_to_the_box(
    box: tuple[float, ...], around: tuple[float, ...]
) -> None:
    true, (x, y, w, h) = row(box), around
    hull = to_horizontal(to_corners(true))[0]
    assume(all(1 / 62 < a / b < 62 for a, b in zip(hull[2:] - hull[:2], (w, h), strict=True)))
    anchor = row((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    offsets = encode_midpoints(anchor, true)
    found = decode_midpoints(anchor, offsets)
    # A box that leans by less than 0.1 counts as upright.
    assert paired_iou(found, true).item() > 1 - 0.25 / min(box[2:4])
    assert (offsets[:, 4:].abs() <= 1 + 1e-9).all()  # 0.5 in deviations of 0.5
    regular = le90(found)
    torch.testing.assert_close(regular, found)


@pytest.mark.parametrize("lean", [0.05, 0.09, 0.11, 0.3, 1, 2, 5])
@pytest.mark.parametrize(("w", "h"), [(100, 4), (100, 10), (300, 20), (60, 60)])
def test_thin_boxes_that_are_nearly_upright_come_back_too(w: int, h: int, lean: float) -> None:
    anchor = row((60, 60, 140, 140))
    for turn in (0, math.pi / 2):
        for sign in (1, -1):
            box = row((100, 100, w, h, turn + sign * math.asin(lean / w)))
            found = decode_midpoints(anchor, encode_midpoints(anchor, box))
            assert paired_iou(found, box).item() > 1 - 0.25 / h


@settings(deadline=None, max_examples=60)
@given(ROTATED, ROTATED)
def test_rotated_offsets_lead_back_to_the_box(
    region: tuple[float, ...], box: tuple[float, ...]
) -> None:
    start, true = row(region), row(box)
    assume(all(1 / 62 < a / b < 62 for a in box[2:4] for b in region[2:4]))  # the limit is 62.5
    offsets = encode_rotated(start, true)
    found = decode_rotated(start, offsets)
    assert paired_iou(found, true).item() == pytest.approx(1, abs=1e-6)
    assert offsets[0, 4].abs() <= math.pi / 4 / 0.1 + 1e-6


def test_midpoint_offsets_of_a_diamond_and_of_an_upright_box() -> None:
    anchor = row((0, 0, 20, 20))
    diamond = row((10, 10, 10 * 2**0.5, 10 * 2**0.5, math.pi / 4))
    torch.testing.assert_close(encode_midpoints(anchor, diamond), row((0,) * 6), atol=1e-9, rtol=0)
    upright = row((15, 10, 20, 10, 0))
    expected = row((0.25, 0, 0, math.log(0.5), 1, 1))  # its upper and its lower right corner
    torch.testing.assert_close(encode_midpoints(anchor, upright), expected)


def test_any_offsets_give_a_rectangle_around_their_middle() -> None:
    made = torch.Generator().manual_seed(0)
    offsets = torch.randn(200, 6, generator=made)
    anchors = torch.tensor([[10.0, 20, 40, 80]]).expand(200, 4)
    boxes = decode_midpoints(anchors, offsets)
    assert torch.isfinite(boxes).all()
    assert (boxes[:, 2] >= boxes[:, 3]).all()
    assert (boxes[:, 3] >= 0).all()
    middle = offsets[:, :2] * torch.tensor([30.0, 60]) + torch.tensor([25.0, 50])
    torch.testing.assert_close(boxes[:, :2], middle)
    # Both diagonals have the length of the longer one, so none is shorter than the height.
    diagonal = boxes[:, 2:4].norm(dim=1)
    assert (diagonal >= 60 * offsets[:, 3].exp() - 1e-3).all()


def test_the_middle_stays_in_the_image() -> None:
    region = torch.tensor([[290.0, 10, 40, 20, 0.0]])
    offsets = torch.tensor([[10.0, -20, 0, 0, 0]])
    assert KIND.decode(region, offsets, FRAME)[0, :2].tolist() == [300, 0]


def test_an_anchor_is_compared_with_the_box_around_an_object() -> None:
    boxes = torch.tensor([[50.0, 50, 40, 10, 0.7]])
    torch.testing.assert_close(KIND.enclosing(boxes), to_horizontal(to_corners(boxes)))


def test_suppression_sees_the_angle_and_the_class() -> None:
    boxes = torch.tensor([[50.0, 50, 40, 2, 0], [50, 50, 40, 2, 1.5], [51, 50, 40, 2, 0]])
    scores = torch.tensor([0.5, 0.4, 0.9])
    assert KIND.nms(boxes, scores, torch.zeros(3)).tolist() == [2, 1]
    assert KIND.nms(boxes, scores, torch.arange(3)).tolist() == [2, 0, 1]


def test_the_numbers_are_those_of_mmrotate() -> None:
    assert (SETTINGS.pre_nms, SETTINGS.post_nms, SETTINGS.proposal_nms_iou) == (
        (2000, 2000),
        (2000, 2000),
        0.8,
    )
    assert (SETTINGS.max_detections, SETTINGS.class_specific, KIND.offsets) == (2000, False, (6, 5))
    assert SETTINGS.beta == (1 / 9, 1.0)
    assert (NMS, SCORE) == (0.1, 0.05)
