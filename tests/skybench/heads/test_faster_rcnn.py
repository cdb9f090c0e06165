from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead

from skybench.boxes.geometry import from_horizontal
from skybench.core import Recipe
from skybench.heads._anchors import make_anchors
from skybench.heads._two_stage import TwoStage
from skybench.heads.faster_rcnn import NMS, SETTINGS, HorizontalKind, faster_rcnn

KIND = HorizontalKind()
FRAME = (60, 80)


def some(count: int, seed: int = 0) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    middle, side = torch.rand(count, 2, generator=made), torch.rand(count, 2, generator=made)
    return torch.cat([middle * 40 + 10, middle * 40 + 12 + 8 * side], 1)


def test_offsets_lead_back_to_the_boxes() -> None:
    start, end = some(50), some(50, 1)
    offsets = KIND.encode_anchors(start, end)
    torch.testing.assert_close(KIND.decode_anchors(start, offsets, FRAME), end)
    # Those of regions are in deviations of 0.1 and 0.2.
    scaled = KIND.encode(start, end)
    torch.testing.assert_close(scaled, offsets / torch.tensor([0.1, 0.1, 0.2, 0.2]))
    torch.testing.assert_close(KIND.decode(start, scaled, FRAME), end)


def test_boxes_are_cut_off_at_the_edges() -> None:
    outside = torch.tensor([[-10.0, 5, 30, 90]])
    assert KIND.from_corners(from_horizontal(outside), FRAME).tolist() == [[0, 5, 30, 60]]
    anchor = torch.tensor([[0.0, 0, 40, 40]])
    moved = KIND.decode_anchors(anchor, torch.tensor([[-0.5, 1.0, 0, 0]]), FRAME)
    assert moved.tolist() == [[0, 40, 20, 60]]


def test_a_region_is_read_where_it_lies() -> None:
    """A ramp is read as its own value, half a pixel off as pixels have their middle there."""
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    found = KIND.roi_align(ramp, [torch.tensor([[8.0, 8.0, 64.0, 64.0]])], 0.25)
    expected = 2 + (torch.arange(7) + 0.5) * 2 - 0.5
    torch.testing.assert_close(found[0, 0], expected.expand(7, 7))


@pytest.mark.parametrize("training", [True, False])
def test_proposals_are_those_of_torchvision(training: bool) -> None:
    """With the same weights, and anchors that are not rounded."""
    torch.manual_seed(0)
    ours = TwoStage(KIND, ((8, 4), (8, 8), (8, 16), (8, 32)), 3, 8).double().train(training)
    torch.nn.init.normal_(ours.proposer.score.weight, std=0.1)
    torch.nn.init.normal_(ours.proposer.offset.weight, std=0.3)
    # In doubles, of which the sigmoid, by which torchvision ranks, keeps all apart.
    seen = [torch.randn(2, 8, 128 // s, 160 // s, dtype=torch.float64) for s in (4, 8, 16, 32)]
    maps = ours._maps(seen)
    anchors = make_anchors(maps, (128, 160))
    scores, offsets = ours.proposer(maps)
    found = ours.proposer.propose(scores, offsets, anchors, (128, 160))
    head: Any = RPNHead(8, 3).double()
    for layer, twin in (
        (ours.proposer.conv, head.conv[0][0]),
        (ours.proposer.score, head.cls_logits),
        (ours.proposer.offset, head.bbox_pred),
    ):
        twin.load_state_dict(layer.state_dict())
    generator = AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)
    root = maps[0].new_tensor([0.5, 1.0, 2.0]).sqrt()
    generator.cell_anchors = [
        torch.stack([-side / root, -side * root, side / root, side * root], 1) / 2
        for side in (32, 64, 128, 256, 512)
    ]
    before, after = (
        dict(zip(("training", "testing"), n, strict=True))
        for n in (SETTINGS.pre_nms, SETTINGS.post_nms)
    )
    theirs = RegionProposalNetwork(generator, head, 0.7, 0.3, 256, 0.5, before, after, 0.7)
    images = ImageList(maps[0].new_zeros(2, 3, 128, 160), [(128, 160)] * 2)
    wanted = [{"boxes": maps[0].new_tensor([[5.0, 5, 40, 40]])}] * 2
    expected, _ = theirs.train(training)(images, dict(enumerate(maps)), wanted)
    for own, other in zip(found, expected, strict=True):
        assert len(own) > 50
        torch.testing.assert_close(own, other, atol=1e-3, rtol=1e-5)


def test_suppression_is_within_classes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [5, 0, 15, 10]])
    kept = KIND.nms(boxes, torch.tensor([0.5, 0.9, 0.8, 0.3]), torch.tensor([0, 0, 1, 0]))
    assert kept.tolist() == [1, 2, 3]  # 4 and 2 share 0.43


def test_the_numbers_are_those_of_mmdetection() -> None:
    assert (SETTINGS.post_nms, SETTINGS.pre_nms, SETTINGS.proposal_nms_iou) == (
        (1000, 1000),
        (2000, 1000),
        0.7,
    )
    assert (NMS, SETTINGS.max_detections, SETTINGS.class_specific, SETTINGS.beta) == (
        0.5,
        100,
        True,
        (0.0, 0.0),
    )
    recipe = Recipe("frozen", epochs=1, batch=1, lr=1e-3, width=256)
    head = faster_rcnn(((256, 4), (512, 8), (1024, 16), (2048, 32)), 20, recipe)
    assert head.kind.offsets == (4, 4)
