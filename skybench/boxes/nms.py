"""Non-maximum suppression of rotated boxes; that of horizontal ones is in torchvision.ops."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.boxes.geometry import to_corners, to_horizontal
from skybench.boxes.iou import paired_iou, touching


def rotated_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes that are kept, int64 [K], the highest score first.

    boxes: rotated [N, 5]; scores [N]; labels [N]: only boxes of one label suppress each other
    (pass zeros to ignore classes). A box goes where its IoU with a kept one of a higher score is
    above `threshold`; of equal scores the earlier box counts as higher. No gradient.
    Source: greedy as torchvision.ops.batched_nms; mmcv's nms_rotated on a GPU also asks for
    "above", its CPU code for "at least" (open-mmlab/mmcv@b84a408:nms_rotated.cpp).
    """
    order = scores.argsort(descending=True, stable=True)
    ranked, labels = boxes.detach()[order], labels[order]
    around = to_horizontal(to_corners(ranked))
    higher, lower = touching(around, around)
    rivals = (higher < lower) & (labels[higher] == labels[lower])
    higher, lower = higher[rivals], lower[rivals]
    beats = paired_iou(ranked[higher], ranked[lower]) > threshold
    return order[_kept(higher[beats], lower[beats], len(ranked))]


def _kept(higher: Tensor, lower: Tensor, count: int) -> Tensor:
    """Which of `count` ranked boxes remain, bool, where `higher[i]` suppresses `lower[i]`.

    All at once instead of one after the other: in every round a box is kept that none of the kept
    ones of the last round suppresses. The first k boxes are final after k rounds, and as chains
    of suppression are short, nothing changes any more after a few.
    """
    kept = torch.ones(count, dtype=torch.bool, device=higher.device)
    while True:
        now = torch.ones_like(kept)
        now[lower[kept[higher]]] = False
        if now.equal(kept):
            return kept
        kept = now
