from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import batched_nms

from skybench.boxes.geometry import to_corners, to_horizontal
from skybench.boxes.iou import rotated_iou
from skybench.boxes.nms import rotated_nms

from ._kinds import EACH, FEW, iou_by_shapely, pairs

CASES = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def loop(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    """One box after the other, the highest score first."""
    return greedy(rotated_iou(boxes, boxes).numpy(), scores, labels, threshold)


def greedy(iou: np.ndarray, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if not any(labels[k] == labels[i] and iou[k, i] > threshold for k in kept):
            kept.append(i)
    return kept


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Up to 60 crowded boxes of up to 3 classes, with or without equal scores."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 60))
    boxes = np.column_stack([rng.uniform(0, 30, (count, 2)), rng.uniform(2, 15, (count, 3))])
    scores = rng.integers(0, draw(st.sampled_from([3, 10**6])), count) / 10**6
    labels = rng.integers(0, draw(st.integers(1, 3)), count)
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(labels)


@CASES
@given(cases(), st.sampled_from([0.0, 0.1, 0.5, 0.9]))
def test_it_equals_a_loop(case: tuple[Tensor, Tensor, Tensor], threshold: float) -> None:
    assert rotated_nms(*case, threshold).tolist() == loop(*case, threshold)


@EACH
@FEW
@given(st.data(), st.sampled_from([0.0, 0.1, 0.5]))
def test_every_kind_of_box_is_suppressed_as_shapely_sees_it(
    kind: str, data: st.DataObject, threshold: float
) -> None:
    boxes = np.concatenate(data.draw(pairs(kind)))
    each = np.indices((len(boxes), len(boxes))).reshape(2, -1)
    iou = iou_by_shapely(*boxes[each]).reshape(len(boxes), -1)
    iou[iou < 1e-9] = 0  # what touches does not overlap
    assume((np.abs(iou - threshold) > 1e-7).all() or not threshold)
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.permutation(len(boxes)) / len(boxes))
    labels = torch.from_numpy(rng.integers(0, 2, len(boxes)))
    found = rotated_nms(torch.from_numpy(boxes), scores, labels, max(threshold, 1e-9))
    assert found.tolist() == greedy(iou, scores, labels, threshold)


@CASES
@given(cases(), st.sampled_from([0.1, 0.5]))
def test_horizontal_boxes_are_treated_as_by_torchvision(
    case: tuple[Tensor, Tensor, Tensor], threshold: float
) -> None:
    boxes, scores, labels = case
    boxes[:, 4] = 0
    scores = scores + torch.arange(len(scores)) * 1e-9  # torchvision has no rule for ties
    expected = batched_nms(to_horizontal(to_corners(boxes)), scores, labels, threshold)
    assert rotated_nms(boxes, scores, labels, threshold).tolist() == expected.tolist()


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = torch.tensor([[0, 0, 10, 4, 0.5], [2, 1, 10, 4, 0.5], [4, 2, 10, 4, 0.5]])
    iou = rotated_iou(boxes, boxes)
    assert iou[0, 1] > 0.5 > iou[0, 2]
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3)
    assert rotated_nms(boxes, scores, labels, 0.5).tolist() == [0, 2]
    assert rotated_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [0, 1, 2]


def test_an_overlap_of_just_the_threshold_is_no_reason() -> None:
    boxes = torch.tensor([[0, 0, 4, 4, 0.0], [1, 0, 2, 4, 0.0]])
    assert rotated_iou(boxes, boxes)[0, 1] == 0.5
    assert len(rotated_nms(boxes, torch.tensor([2.0, 1.0]), torch.zeros(2), 0.5)) == 2


def test_of_equal_scores_the_earlier_box_stays() -> None:
    boxes = torch.tensor([[0, 0, 4, 2, 0.3]]).repeat(4, 1)
    assert rotated_nms(boxes, torch.ones(4), torch.zeros(4), 0.5).tolist() == [0]


def test_it_needs_no_gradient() -> None:
    boxes = torch.tensor([[0, 0, 4, 2, 0.3]], requires_grad=True)
    kept = rotated_nms(boxes, torch.ones(1, requires_grad=True), torch.zeros(1), 0.5)
    assert not kept.is_floating_point()
    assert kept.tolist() == [0]


def test_a_long_chain_alternates() -> None:
    count = 101
    boxes = torch.tensor([[2.0 * i, 0, 10, 4, 0.0] for i in range(count)])  # IoU 2/3, then 3/7
    scores = torch.linspace(1, 0, count)
    kept = rotated_nms(boxes, scores, torch.zeros(count), 0.5)
    assert kept.tolist() == list(range(0, count, 2))
    assert rotated_iou(boxes[:1], boxes[:3])[0].tolist() == pytest.approx([1, 2 / 3, 3 / 7])
