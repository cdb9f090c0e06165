"""The two stages of a detector for any kind of box: region proposal network and RoI head.

The procedure and all constants are mmdetection's, which differ from those of
torchvision.models.detection: anchors are not rounded, an object's best anchor needs a minimum IoU,
and strides need not be powers of two (a ViT's).
Source: Ren et al. 2015 (arXiv 1506.01497); open-mmlab/mmdetection@0c7842f
configs/_base_/models/faster-rcnn_r50_fpn.py, except where `DetectorSettings` differ.
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

from skybench.heads._anchors import BACKGROUND, assign_boxes, sample_boxes

ANCHORS = 3  # for each cell of a level
ANCHOR_IOU = (0.7, 0.3)  # positive from the first on, negative below the second, else ignored
ANCHOR_LEAST = 0.3  # minimum IoU for an object's best anchor to be positive
# Samples of an image in a step, for each channel of the pyramid (256 anchors and 512 regions at the
# published width, fewer in a narrow, fast head); and the largest share of positives.
ANCHOR_SAMPLES = (1, 0.5)
OBJECTS_AT_ONCE = 32  # compared with all anchors, to limit memory
ROI_IOU = (0.5, 0.5)
ROI_SAMPLES = (2, 0.25)
ROI_SIDE = 7  # cells of a pooled region
FINEST = 14.0  # cells; regions up to twice as large on the finest level are pooled from it
HIDDEN = 4  # hidden units for each channel: 1024 for 256 channels

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class DetectorSettings:
    """The constants in which detectors differ; pairs are for training and for prediction."""

    beta: tuple[float, float]  # of the smooth L1 losses of anchors and regions; 0 is L1
    pre_nms: tuple[int, int]  # proposals of a level before NMS
    post_nms: tuple[int, int]  # proposals of an image after NMS
    proposal_nms_iou: float  # NMS threshold, of the horizontal boxes enclosing proposals
    class_specific: bool  # box regression has offsets for each class
    max_detections: int  # of an image
    flips: tuple[int, ...]  # axes (0: x, 1: y) of random flips of frozen features in training


class BoxKind(Protocol):
    """A kind of box: horizontal or rotated, rows of a tensor [N, ...] in pixels of the input."""

    settings: DetectorSettings
    offsets: tuple[int, int]  # box-regression offsets of an anchor, and of a region

    def from_corners(self, corners: Tensor, frame: Size) -> Tensor: ...  # from [N, 4, 2]
    def to_corners(self, boxes: Tensor) -> Tensor: ...  # [N, 4, 2]
    def enclosing(self, boxes: Tensor) -> Tensor: ...  # horizontal boxes [N, 4]
    def sides(self, boxes: Tensor) -> Tensor: ...  # [N, 2]
    def iou(self, a: Tensor, b: Tensor) -> Tensor: ...  # [N, M]
    def encode_anchors(self, anchors: Tensor, boxes: Tensor) -> Tensor: ...
    def decode_anchors(self, anchors: Tensor, offsets: Tensor, frame: Size) -> Tensor: ...
    def encode(self, regions: Tensor, boxes: Tensor) -> Tensor: ...
    def decode(self, regions: Tensor, offsets: Tensor, frame: Size) -> Tensor: ...

    # Features [n of all images, C, 7, 7] of one level; scale: 1 / its stride.
    def roi_align(self, features: Tensor, boxes: Sequence[Tensor], scale: float) -> Tensor: ...

    # Indices of the boxes that are kept, the highest score first.
    def nms(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor: ...


class TrainingBoxes(NamedTuple):
    """The ground-truth boxes of an image that training uses."""

    boxes: Tensor  # [N, ...]
    labels: Tensor  # [N], int64


def wide(x: Tensor) -> Tensor:
    """Return float32 for half precision; float32 and float64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def smooth_l1(predicted: Tensor, true: Tensor, beta: float, count: int) -> Tensor:
    """Return the smooth L1 loss of positives, summed and divided by the count of all samples."""
    return F.smooth_l1_loss(predicted, true, beta=beta, reduction="sum") / max(count, 1)


class RegionProposalNetwork(nn.Module):
    """The region proposal network (RPN): class-agnostic object proposals from anchors."""

    def __init__(self, kind: BoxKind, width: int) -> None:
        super().__init__()
        self.kind, self.samples = kind, ANCHOR_SAMPLES[0] * width
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.score = nn.Conv2d(width, ANCHORS, 1)
        self.offset = nn.Conv2d(width, ANCHORS * kind.offsets[0], 1)
        for layer in (self.conv, self.score, self.offset):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return, for each level, the scores [B, A] and offsets [B, A, ...] of its anchors.

        Float32 also under autocast, and with them all that boxes go through: decoding, NMS, IoU.
        """
        scores, offsets = [], []
        for x in maps:
            hidden = F.relu(self.conv(x))
            scores.append(wide(self.score(hidden)).permute(0, 2, 3, 1).flatten(1))
            offset = wide(self.offset(hidden)).permute(0, 2, 3, 1)
            offsets.append(offset.reshape(len(x), -1, self.kind.offsets[0]))
        return scores, offsets

    @torch.no_grad()
    def propose(
        self, scores: list[Tensor], offsets: list[Tensor], anchors: list[Tensor], frame: Size
    ) -> list[Tensor]:
        """Return proposals [n, ...] for each image, the highest score first."""
        settings, phase = self.kind.settings, 0 if self.training else 1
        proposals = []
        for i in range(len(scores[0])):
            boxes, ranks, level = [], [], []
            for number, (score, offset) in enumerate(zip(scores, offsets, strict=True)):
                best, where = score[i].topk(min(settings.pre_nms[phase], score.shape[1]))
                boxes.append(
                    self.kind.decode_anchors(anchors[number][where], offset[i, where], frame)
                )
                ranks.append(best)
                level.append(torch.full_like(where, number))
            box = torch.cat(boxes)
            real = (self.kind.sides(box) > 0).all(1)
            box, rank = box[real], torch.cat(ranks)[real]
            enclosing = self.kind.enclosing(box)
            kept = batched_nms(enclosing, rank, torch.cat(level)[real], settings.proposal_nms_iou)
            proposals.append(box[kept[: settings.post_nms[phase]]])
        return proposals

    def losses(
        self, scores: Tensor, offsets: Tensor, anchors: Tensor, truths: Sequence[TrainingBoxes]
    ) -> dict[str, Tensor]:
        """Return the losses; scores: [B, A], offsets: [B, A, ...], anchors: [A, 4]."""
        logits, predicted, true, objects = [], [], [], []
        for score, offset, truth in zip(scores, offsets, truths, strict=True):
            parts = torch.split(self.kind.enclosing(truth.boxes), OBJECTS_AT_ONCE)
            overlap = torch.cat([box_iou(part, anchors) for part in parts])
            which = assign_boxes(overlap, *ANCHOR_IOU, ANCHOR_LEAST)
            positive, negative = sample_boxes(which, self.samples, ANCHOR_SAMPLES[1])
            logits.append(score[torch.cat([positive, negative])])
            objects.append(which[torch.cat([positive, negative])] != BACKGROUND)
            predicted.append(offset[positive])
            boxes = truth.boxes[which[positive]]
            true.append(self.kind.encode_anchors(anchors[positive], boxes))
        logit, real = torch.cat(logits), torch.cat(objects).to(scores.dtype)
        score_loss = F.binary_cross_entropy_with_logits(logit, real, reduction="sum")
        beta, count = self.kind.settings.beta[0], len(logit)
        box_loss = smooth_l1(torch.cat(predicted), torch.cat(true), beta, count)
        return {"anchor": score_loss / max(count, 1), "anchor_box": box_loss}


class RoIHead(nn.Module):
    """The RoI head: a class and box regression for each region."""

    def __init__(self, kind: BoxKind, classes: int, width: int) -> None:
        super().__init__()
        self.kind, self.classes, self.samples = kind, classes, ROI_SAMPLES[0] * width
        self.body = TwoMLPHead(width * ROI_SIDE**2, HIDDEN * width)
        self.score = nn.Linear(HIDDEN * width, classes + 1)  # the last class is background
        variants = classes if kind.settings.class_specific else 1
        self.offset = nn.Linear(HIDDEN * width, variants * kind.offsets[1])
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.normal_(self.offset.weight, std=0.001)
        for layer in (self.score, self.offset):
            nn.init.constant_(layer.bias, 0.0)

    def forward(
        self, maps: Sequence[Tensor], regions: Sequence[Tensor], frame: Size
    ) -> tuple[Tensor, Tensor]:
        """Return logits [n of all images, K + 1] and offsets [n, K or 1, ...], float32."""
        hidden = self.body(self.pooled(maps, regions, frame))
        offsets = wide(self.offset(hidden))
        size = self.kind.offsets[1]
        offsets = offsets.view(len(offsets), offsets.shape[1] // size, size)
        return wide(self.score(hidden)), offsets

    def pooled(self, maps: Sequence[Tensor], regions: Sequence[Tensor], frame: Size) -> Tensor:
        """Return features [n of all images, C, 7, 7], each from the level that fits its size."""
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
                result[where == number] = self.kind.roi_align(x, chosen, scale)
        return result

    def losses(
        self,
        maps: Sequence[Tensor],
        proposals: Sequence[Tensor],
        frame: Size,
        truths: Sequence[TrainingBoxes],
    ) -> dict[str, Tensor]:
        """Return the losses; ground-truth boxes join the proposals from which samples are drawn."""
        regions, labels, true = [], [], []
        for proposed, truth in zip(proposals, truths, strict=True):
            boxes = torch.cat([truth.boxes, proposed])
            which = assign_boxes(self.kind.iou(truth.boxes, boxes), *ROI_IOU)
            positive, negative = sample_boxes(which, self.samples, ROI_SAMPLES[1])
            regions.append(boxes[torch.cat([positive, negative])])
            labels.append(truth.labels[which[positive]])
            labels.append(torch.full_like(negative, self.classes))
            true.append(self.kind.encode(boxes[positive], truth.boxes[which[positive]]))
        logits, offsets = self(maps, regions, frame)
        label = torch.cat(labels)
        count, rows = len(label), (label < self.classes).nonzero()[:, 0]
        variant = label[rows] if self.kind.settings.class_specific else torch.zeros_like(rows)
        predicted, beta = offsets[rows, variant], self.kind.settings.beta[1]
        score_loss = F.cross_entropy(logits, label, reduction="sum") / max(count, 1)
        return {"class": score_loss, "box": smooth_l1(predicted, torch.cat(true), beta, count)}
