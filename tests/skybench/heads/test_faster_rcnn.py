from __future__ import annotations

import torch

from skybench.boxes.geometry import from_horizontal
from skybench.core import Recipe
from skybench.heads.faster_rcnn import NMS, RULES, Horizontal, faster_rcnn

KIND = Horizontal()
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
    assert KIND.read(from_horizontal(outside), FRAME).tolist() == [[0, 5, 30, 60]]
    anchor = torch.tensor([[0.0, 0, 40, 40]])
    moved = KIND.decode_anchors(anchor, torch.tensor([[-0.5, 1.0, 0, 0]]), FRAME)
    assert moved.tolist() == [[0, 40, 20, 60]]


def test_a_region_is_read_where_it_lies() -> None:
    """A ramp is read as its own value, half a pixel off as pixels have their middle there."""
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    found = KIND.pool(ramp, [torch.tensor([[8.0, 8.0, 64.0, 64.0]])], 0.25)
    expected = 2 + (torch.arange(7) + 0.5) * 2 - 0.5
    torch.testing.assert_close(found[0, 0], expected.expand(7, 7))


def test_suppression_is_within_classes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [5, 0, 15, 10]])
    kept = KIND.suppress(boxes, torch.tensor([0.5, 0.9, 0.8, 0.3]), torch.tensor([0, 0, 1, 0]))
    assert kept.tolist() == [1, 2, 3]  # 4 and 2 share 0.43


def test_the_numbers_are_those_of_mmdetection() -> None:
    assert (RULES.after, RULES.before, RULES.proposal_iou) == ((1000, 1000), (2000, 1000), 0.7)
    assert (NMS, RULES.most, RULES.each_class, RULES.beta) == (0.5, 100, True, (0.0, 0.0))
    recipe = Recipe("frozen", epochs=1, batch=1, lr=1e-3, width=256)
    head = faster_rcnn(((256, 4), (512, 8), (1024, 16), (2048, 32)), 20, recipe)
    assert head.kind.offsets == (4, 4)
