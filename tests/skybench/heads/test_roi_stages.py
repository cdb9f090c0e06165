"""Region proposal network and RoI head; see skybench.heads._roi_stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from skybench.boxes.geometry import from_horizontal
from skybench.heads._roi_stages import FINEST, ROI_SIDE, RegionProposalNetwork, RoIHead, smooth_l1
from skybench.heads.faster_rcnn import HorizontalKind
from skybench.heads.oriented_rcnn import OrientedKind

KINDS = pytest.mark.parametrize("kind", [HorizontalKind(), OrientedKind()])
FRAME = (256, 256)


@KINDS
def test_large_regions_are_pooled_from_coarse_levels(kind: Any) -> None:
    """Maps that hold the number of their level: each twice the stride of the one before."""
    maps = [torch.full((1, 2, 64 >> i, 64 >> i), float(i)) for i in range(3)]
    sides = torch.tensor([1.0, 1.9, 2.1, 3.9, 4.1, 4.5]) * FINEST * 4  # pixels, at stride 4
    rows = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    boxes = kind.from_corners(from_horizontal(rows), FRAME)
    pooled = RoIHead(kind, 3, 2).pooled(maps, [boxes], FRAME)
    assert pooled.shape == (6, 2, ROI_SIDE, ROI_SIDE)
    assert pooled[:, 0, 3, 3].tolist() == [0.0, 0, 1, 1, 2, 2]


@KINDS
def test_proposals_are_boxes_with_area_and_the_best_come_first(kind: Any) -> None:
    torch.manual_seed(0)
    network = RegionProposalNetwork(kind, 8).eval()
    maps = [torch.randn(2, 8, n, n) for n in (8, 4)]
    scores, offsets = network(maps)
    assert [s.shape for s in scores] == [(2, 192), (2, 48)]
    assert [o.shape for o in offsets] == [(2, 192, kind.offsets[0]), (2, 48, kind.offsets[0])]
    anchors = [torch.tensor([[8.0, 8, 40, 40]]).repeat(s.shape[1], 1) for s in scores]
    for boxes in network.propose(scores, offsets, anchors, (64, 64)):
        assert 0 < len(boxes) <= kind.settings.post_nms[1]
        assert (kind.sides(boxes) > 0).all()


def test_the_loss_of_no_object_is_0() -> None:
    none = torch.zeros(0, 4)
    assert smooth_l1(none, none, 0.1, 0) == 0
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]])
    expected = F.smooth_l1_loss(a, b, beta=0.1, reduction="sum") / 5
    torch.testing.assert_close(smooth_l1(a, b, 0.1, 5), expected)
