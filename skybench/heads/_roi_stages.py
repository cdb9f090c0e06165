"""The two stages of a detector, for boxes of any kind: where objects may be, and what they are.

The flow and all numbers are those of mmdetection, which differ from those of
torchvision.models.detection: anchors that are not rounded, a least overlap for an object's best
anchor, strides that need not be powers of two (a ViT's).
Source: Ren et al. 2015 (arXiv 1506.01497); open-mmlab/mmdetection@0c7842f
configs/_base_/models/faster-rcnn_r50_fpn.py, as far as `Rules` do not say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import batched_nms, box_iou

from skybench.heads._anchors import BACKGROUND, match, sample

ANCHORS = 3  # at each place
ANCHOR_IOU = (0.7, 0.3)  # an anchor with more is an object, with less none, between neither
ANCHOR_LEAST = 0.3  # what an object's best anchor must have to be one in any case
# What of an image counts in a step: samples for a channel of the pyramid, so 256 anchors and 512
# regions as published and fewer in a narrow, quick head; and which share of them are objects.
ANCHOR_SAMPLES = (1, 0.5)
TOGETHER = 32  # objects that are compared with all anchors at once, for the sake of memory
ROI_IOU = (0.5, 0.5)
ROI_SAMPLES = (2, 0.25)
ROI_SIDE = 7  # cells of a pooled region
FINEST = 14.0  # regions up to twice as many cells of the finest level wide are pooled from it
HIDDEN = 4  # times the width: 1024 for 256 channels

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Rules:
    """The numbers in which detectors differ; pairs are for training and for prediction."""

    beta: tuple[float, float]  # of the smooth L1 losses of anchors and regions; 0 is L1
    before: tuple[int, int]  # proposals of a level that enter suppression
    after: tuple[int, int]  # proposals of an image that remain
    proposal_iou: float  # of horizontal boxes around proposals of a level, above which one goes
    each_class: bool  # regions are refined for each class by itself
    most: int  # detections of an image
    flips: tuple[int, ...]  # axes (0: x, 1: y) along which half of the training images are mirrored


class Kind(Protocol):
    """Boxes of some kind: rows of a tensor [N, ...] in pixels of the network's image."""

    rules: Rules
    offsets: tuple[int, int]  # numbers by which an anchor, and a region, becomes a box

    def read(self, corners: Tensor, frame: Size) -> Tensor: ...  # from [N, 4, 2]
    def corners(self, boxes: Tensor) -> Tensor: ...  # [N, 4, 2]
    def around(self, boxes: Tensor) -> Tensor: ...  # horizontal [N, 4]
    def sides(self, boxes: Tensor) -> Tensor: ...  # [N, 2]
    def overlap(self, a: Tensor, b: Tensor) -> Tensor: ...  # IoU [N, M]
    def encode_anchors(self, anchors: Tensor, boxes: Tensor) -> Tensor: ...
    def decode_anchors(self, anchors: Tensor, offsets: Tensor, frame: Size) -> Tensor: ...
    def encode(self, regions: Tensor, boxes: Tensor) -> Tensor: ...
    def decode(self, regions: Tensor, offsets: Tensor, frame: Size) -> Tensor: ...

    # Features [n of all images, C, 7, 7] of one level; scale: pixels of the level for one.
    def pool(self, features: Tensor, boxes: Sequence[Tensor], scale: float) -> Tensor: ...

    # Indices of what remains, the highest score first.
    def suppress(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor: ...


class Truth(NamedTuple):
    """The objects of an image that can be learned."""

    boxes: Tensor  # [N, ...]
    labels: Tensor  # [N], int64


def smooth_l1(found: Tensor, wanted: Tensor, beta: float, count: int) -> Tensor:
    """The summed loss of the objects, by the number of all samples."""
    return F.smooth_l1_loss(found, wanted, beta=beta, reduction="sum") / max(count, 1)


class Proposer(nn.Module):
    """The region proposal network: where there may be objects."""

    def __init__(self, kind: Kind, width: int) -> None:
        super().__init__()
        self.kind, self.samples = kind, ANCHOR_SAMPLES[0] * width
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.score = nn.Conv2d(width, ANCHORS, 1)
        self.offset = nn.Conv2d(width, ANCHORS * kind.offsets[0], 1)
        for layer in (self.conv, self.score, self.offset):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """For each level the scores [B, A] and offsets [B, A, ...] of its anchors."""
        scores, offsets = [], []
        for x in maps:
            hidden = F.relu(self.conv(x))
            scores.append(self.score(hidden).permute(0, 2, 3, 1).flatten(1))
            offset = self.offset(hidden).permute(0, 2, 3, 1)
            offsets.append(offset.reshape(len(x), -1, self.kind.offsets[0]))
        return scores, offsets

    @torch.no_grad()
    def propose(
        self, scores: list[Tensor], offsets: list[Tensor], anchors: list[Tensor], frame: Size
    ) -> list[Tensor]:
        """Boxes [n, ...] for each image, the most likely first."""
        rules, phase = self.kind.rules, 0 if self.training else 1
        found = []
        for i in range(len(scores[0])):
            boxes, ranks, level = [], [], []
            for number, (score, offset) in enumerate(zip(scores, offsets, strict=True)):
                best, where = score[i].topk(min(rules.before[phase], score.shape[1]))
                boxes.append(
                    self.kind.decode_anchors(anchors[number][where], offset[i, where], frame)
                )
                ranks.append(best)
                level.append(torch.full_like(where, number))
            box = torch.cat(boxes)
            real = (self.kind.sides(box) > 0).all(1)
            box, rank = box[real], torch.cat(ranks)[real]
            around = self.kind.around(box)
            kept = batched_nms(around, rank, torch.cat(level)[real], rules.proposal_iou)
            found.append(box[kept[: rules.after[phase]]])
        return found

    def losses(
        self, scores: Tensor, offsets: Tensor, anchors: Tensor, truths: Sequence[Truth]
    ) -> dict[str, Tensor]:
        """scores: [B, A]; offsets: [B, A, ...]; anchors: [A, 4]."""
        logits, found, wanted, objects = [], [], [], []
        for score, offset, truth in zip(scores, offsets, truths, strict=True):
            parts = torch.split(self.kind.around(truth.boxes), TOGETHER)
            overlap = torch.cat([box_iou(part, anchors) for part in parts])
            which = match(overlap, *ANCHOR_IOU, ANCHOR_LEAST)
            positive, negative = sample(which, self.samples, ANCHOR_SAMPLES[1])
            logits.append(score[torch.cat([positive, negative])])
            objects.append(which[torch.cat([positive, negative])] != BACKGROUND)
            found.append(offset[positive])
            boxes = truth.boxes[which[positive]]
            wanted.append(self.kind.encode_anchors(anchors[positive], boxes))
        logit, real = torch.cat(logits), torch.cat(objects).to(scores.dtype)
        score_loss = F.binary_cross_entropy_with_logits(logit, real, reduction="sum")
        beta, count = self.kind.rules.beta[0], len(logit)
        box_loss = smooth_l1(torch.cat(found), torch.cat(wanted), beta, count)
        return {"anchor": score_loss / max(count, 1), "anchor_box": box_loss}


class Namer(nn.Module):
    """Gives regions a class and a better box."""

    def __init__(self, kind: Kind, classes: int, width: int) -> None:
        super().__init__()
        self.kind, self.classes, self.samples = kind, classes, ROI_SAMPLES[0] * width
        self.body = TwoMLPHead(width * ROI_SIDE**2, HIDDEN * width)
        self.score = nn.Linear(HIDDEN * width, classes + 1)  # the last is the background
        variants = classes if kind.rules.each_class else 1
        self.offset = nn.Linear(HIDDEN * width, variants * kind.offsets[1])
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.offset.weight, std=0.001)
        for layer in (self.score, self.offset):
            nn.init.constant_(layer.bias, 0.0)

    def forward(
        self, maps: Sequence[Tensor], regions: Sequence[Tensor], frame: Size
    ) -> tuple[Tensor, Tensor]:
        """Logits [n of all images, K + 1] and offsets [n, K or 1, ...]."""
        hidden = self.body(self.pooled(maps, regions, frame))
        return self.score(hidden), self.offset(hidden).unflatten(1, (-1, self.kind.offsets[1]))

    def pooled(self, maps: Sequence[Tensor], regions: Sequence[Tensor], frame: Size) -> Tensor:
        """Features [n of all images, C, 7, 7], each from the level that fits its size."""
        scales = [(x.shape[2] / frame[0] + x.shape[3] / frame[1]) / 2 for x in maps]
        levels = []
        for boxes in regions:
            cells = self.kind.sides(boxes).prod(1).sqrt() * scales[0]
            level = torch.floor(torch.log2(cells / FINEST + 1e-6))
            levels.append(level.clamp(0, len(maps) - 1))
        where = torch.cat(levels)
        result = maps[0].new_zeros(len(where), maps[0].shape[1], ROI_SIDE, ROI_SIDE)
        for number, (x, scale) in enumerate(zip(maps, scales, strict=True)):
            chosen = [b[at == number] for b, at in zip(regions, levels, strict=True)]
            if any(map(len, chosen)):
                result[where == number] = self.kind.pool(x, chosen, scale)
        return result

    def losses(
        self,
        maps: Sequence[Tensor],
        proposals: Sequence[Tensor],
        frame: Size,
        truths: Sequence[Truth],
    ) -> dict[str, Tensor]:
        """The objects themselves are among the regions from which samples are drawn."""
        regions, labels, wanted = [], [], []
        for proposed, truth in zip(proposals, truths, strict=True):
            boxes = torch.cat([truth.boxes, proposed])
            which = match(self.kind.overlap(truth.boxes, boxes), *ROI_IOU)
            positive, negative = sample(which, self.samples, ROI_SAMPLES[1])
            regions.append(boxes[torch.cat([positive, negative])])
            labels.append(truth.labels[which[positive]])
            labels.append(torch.full_like(negative, self.classes))
            wanted.append(self.kind.encode(boxes[positive], truth.boxes[which[positive]]))
        logits, offsets = self(maps, regions, frame)
        label = torch.cat(labels)
        count, rows = len(label), (label < self.classes).nonzero()[:, 0]
        variant = label[rows] if self.kind.rules.each_class else torch.zeros_like(rows)
        found, beta = offsets[rows, variant], self.kind.rules.beta[1]
        score_loss = F.cross_entropy(logits, label, reduction="sum") / max(count, 1)
        return {"class": score_loss, "box": smooth_l1(found, torch.cat(wanted), beta, count)}
