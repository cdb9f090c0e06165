"""Non-maximum suppression (NMS) of rotated boxes; torchvision.ops has that of horizontal boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.boxes.geometry import to_corners, to_horizontal
from skybench.boxes.iou import overlapping_pairs, paired_iou


def rotated_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Return the indices of the boxes that NMS keeps, int64 [K], the highest score first.

    boxes: rotated [N, 5]; scores [N]; labels [N]: only boxes of one label suppress each other
    (pass zeros to ignore classes). A box is removed if its IoU with a kept box of higher score is
    above `threshold`; of equal scores the earlier box counts as higher. No gradient.
    Source: greedy as torchvision.ops.batched_nms; mmcv's nms_rotated on a GPU also asks for
    "above", its CPU code for "at least" (open-mmlab/mmcv@b84a408:nms_rotated.cpp).
    """
    order = scores.argsort(descending=True, stable=True)
    ranked, labels = boxes.detach()[order], labels[order]
    around = to_horizontal(to_corners(ranked))
    higher, lower = overlapping_pairs(around, around)
    rivals = (higher < lower) & (labels[higher] == labels[lower])
    higher, lower = higher[rivals], lower[rivals]
    beats = paired_iou(ranked[higher], ranked[lower]) > threshold
    return order[_kept(higher[beats], lower[beats], len(ranked))]


def _kept(higher: Tensor, lower: Tensor, count: int) -> Tensor:
    """Whether each of `count` ranked boxes is kept, bool, if `higher[i]` suppresses `lower[i]`.

    Iterated over all boxes at once: a box is kept if no box kept in the last round suppresses it.
    The first k boxes are final after k rounds, and as chains of suppression are short, a few
    rounds suffice.
    """
    kept = torch.ones(count, dtype=torch.bool, device=higher.device)
    while True:
        now = torch.ones_like(kept)
        now[lower[kept[higher]]] = False
        if now.equal(kept):
            return kept
        kept = now
