"""The network of a detector, for both kinds of boxes; see skybench.heads._two_stage."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from skybench.heads._anchors import make_anchors
from skybench.heads._two_stage import TwoStage
from skybench.heads.faster_rcnn import HorizontalKind
from skybench.heads.oriented_rcnn import OrientedKind

from ._scenes import FOUR, boxes

KINDS = pytest.mark.parametrize("kind", [HorizontalKind(), OrientedKind()])


@KINDS
def test_boxes_go_in_and_out_in_pixels_of_the_image(kind: Any) -> None:
    """The network saw 64 x 96 pixels of an image that has 128 x 48."""
    torch.manual_seed(0)
    network = TwoStage(kind, FOUR, 3, 8).eval()
    levels = [torch.randn(1, c, 64 // s, 96 // s) for c, s in FOUR]
    as_seen, as_read = (network.detect(levels, [size])[0] for size in ((64, 96), (128, 48)))
    assert len(as_seen.scores) > 0
    np.testing.assert_allclose(as_read.corners, as_seen.corners * [0.5, 2], rtol=1e-5)
    seen = dataclasses.replace(boxes([(48, 32, 20, 12, 0)], [1]), size=(64, 96))
    read = dataclasses.replace(seen, corners=seen.corners * torch.tensor([0.5, 2]), size=(128, 48))
    losses = []
    for target in (seen, read):
        torch.manual_seed(0)
        losses.append(network.train()(levels, [target]))
    for name, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][name], rtol=1e-4, atol=1e-5)


@KINDS
def test_what_is_too_small_or_outside_is_not_learned(kind: Any) -> None:
    network = TwoStage(kind, FOUR, 3, 8)
    rows = [
        (20, 20, 10, 10, 0),
        (20, 20, 10, 0, 0),  # a line
        (20, 20, 0.5, 0.5, 0),
        (-20, 20, 10, 10, 0),  # outside
        (64, 20, 10, 8, 0.2),  # half outside
    ]
    target = boxes(rows, [0, 1, 2, 0, 2])
    truth = network._truth(target, (64, 64), torch.device("cpu"))
    assert truth.labels.tolist() == [0, 2]
    levels = [torch.randn(1, c, 64 // s, 64 // s) for c, s in FOUR]
    losses = network(levels, [target])
    assert all(torch.isfinite(loss) for loss in losses.values())


@KINDS
def test_a_crowd_region_is_not_learned(kind: Any) -> None:
    target = boxes([(20, 20, 10, 10, 0), (40, 40, 30, 30, 0)], [0, 1])
    marked = dataclasses.replace(target, crowd=torch.tensor([False, True]))
    truth = TwoStage(kind, FOUR, 3, 8)._truth(marked, (64, 64), torch.device("cpu"))
    assert truth.labels.tolist() == [0]


@KINDS
def test_every_parameter_learns(kind: Any) -> None:
    torch.manual_seed(0)
    network = TwoStage(kind, FOUR, 3, 8)
    network.proposer.samples = 2000  # all anchors, so those of every level
    levels = [torch.randn(2, c, 64 // s, 64 // s, requires_grad=True) for c, s in FOUR]
    target = boxes([(20, 20, 30, 24, 0), (44, 40, 32, 30, 0.4)], [0, 1])
    torch.stack([*network(levels, [target, target]).values()]).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert all(x.grad is not None and x.grad.abs().max() > 0 for x in levels)


LOW = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@KINDS
@LOW
def test_boxes_stay_float32_under_autocast(
    kind: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that goes through coding, IoU, pooling and NMS, in training and in prediction."""
    seen: dict[str, set[torch.dtype]] = {}

    def spied(name: str) -> Any:
        inner = getattr(kind, name)

        def call(*given: Any) -> Any:
            parts = [y for x in given for y in (x if isinstance(x, list) else [x])]
            boxes = [x for x in parts if isinstance(x, torch.Tensor) and x.ndim < 4]
            out = inner(*given)
            kept = [out] if out.is_floating_point() and out.ndim < 4 else []
            found = {x.dtype for x in (*boxes, *kept) if x.is_floating_point()}
            seen.setdefault(name, set()).update(found)
            return out

        return call

    names = ("encode_anchors", "decode_anchors", "encode", "decode", "iou", "roi_align", "nms")
    for name in names:
        monkeypatch.setattr(kind, name, spied(name), raising=True)
    torch.manual_seed(0)
    network = TwoStage(kind, FOUR, 3, 8)
    levels = [torch.randn(1, c, 64 // s, 64 // s) for c, s in FOUR]
    with torch.autocast("cpu", dtype):
        losses = network(levels, [boxes([(20, 20, 30, 24, 0)], [0])])
        found = network.eval().detect(levels, [(64, 64)])
    assert seen == {name: {torch.float32} for name in names}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert len(found[0].scores) > 0


@KINDS
@LOW
def test_autocast_alone_changes_no_proposal(kind: Any, dtype: torch.dtype) -> None:
    """Scores and offsets given, proposals are those of float32, to the last bit."""
    torch.manual_seed(0)
    network = TwoStage(kind, FOUR, 3, 8)
    frame = (1024, 1024)
    maps = [torch.randn(1, 8, 64 >> i, 64 >> i) for i in range(2)]
    with torch.no_grad(), torch.autocast("cpu", dtype):
        scores, offsets = network.proposer(maps)
        anchors = make_anchors([x.to(dtype) for x in maps], frame)
        low = network.proposer.propose(scores, offsets, anchors, frame)[0]
    full = network.proposer.propose(scores, offsets, make_anchors(maps, frame), frame)[0]
    assert low.dtype == torch.float32
    assert torch.equal(low, full)
