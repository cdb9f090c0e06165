"""The network of a two-stage detector on a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from skybench.boxes.detections import Detections
from skybench.core import Boxes, DataError
from skybench.heads._anchors import make_anchors
from skybench.heads._roi_stages import BoxKind, RegionProposalNetwork, RoIHead, Size, TrainingBoxes
from skybench.heads.decoders import Levels, Neck

SCORE = 0.05  # lowest score of a detection
SMALLEST = 1.0  # smallest side of an object in training, in pixels of the network's input


class TwoStage(nn.Module):
    """FPN, region proposal network and RoI head on a backbone's feature maps, frozen or not.

    Internally boxes are in pixels of the network's input: the finest map's size times its stride.
    Images may have been resized to it; targets and detections are in pixels of the original.
    Source: Lin et al. 2017 (arXiv 1612.03144) for the pyramid; P6 is P5 subsampled by 2.
    """

    def __init__(self, kind: BoxKind, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.kind, self.stride = kind, levels[0][1]
        channels = [c for c, _ in levels]
        self.neck = Neck(*levels[0], width) if len(channels) == 1 else None
        if self.neck is not None:
            channels = [width] * len(self.neck.scales)
        self.pyramid = FeaturePyramidNetwork(channels, width, LastLevelMaxPool())
        # These two names are part of the keys in checkpoints.
        self.proposer = RegionProposalNetwork(kind, width)
        self.namer = RoIHead(kind, classes, width)

    def forward(self, levels: Sequence[Tensor], targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """Return the losses, by name.

        levels: [B, C_i, h_i, w_i], finest first; targets: B, with image sizes. Objects smaller
        than a pixel or outside of the image are left out.
        """
        frame = self._frame(levels)
        truths = [self._truth(t, frame, levels[0].device) for t in targets]
        maps = self._maps(levels)
        anchors = make_anchors(maps, frame)
        scores, offsets = self.proposer(maps)
        proposals = self.proposer.propose(scores, offsets, anchors, frame)
        every = torch.cat(scores, 1), torch.cat(offsets, 1), torch.cat(anchors)
        losses: dict[str, Tensor] = self.proposer.losses(*every, truths)
        return losses | self.namer.losses(maps[:-1], proposals, frame, truths)

    @torch.no_grad()
    def detect(self, levels: Sequence[Tensor], sizes: Sequence[Size]) -> list[Detections]:
        """Return the detections of each image, the highest score first; sizes: (height, width)."""
        frame, maps = self._frame(levels), self._maps(levels)
        scores, offsets = self.proposer(maps)
        proposals = self.proposer.propose(scores, offsets, make_anchors(maps, frame), frame)
        logits, offsets = self.namer(maps[:-1], proposals, frame)
        counts = [len(p) for p in proposals]
        each = zip(proposals, logits.softmax(1).split(counts), offsets.split(counts), strict=True)
        detections = []
        for one, size in zip(each, sizes, strict=True):
            boxes, scores, labels = self._best(*one, frame)
            corners = self.kind.to_corners(boxes) / _ratio(size, frame, boxes)
            detections.append(Detections(*(x.cpu().numpy() for x in (corners, scores, labels))))
        return detections

    def _best(
        self, regions: Tensor, scores: Tensor, offsets: Tensor, frame: Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of an image after NMS; scores: [n, K + 1]."""
        row, label = (scores[:, :-1] > SCORE).nonzero(as_tuple=True)
        variant = label if self.kind.settings.class_specific else torch.zeros_like(label)
        boxes = self.kind.decode(regions[row], offsets[row, variant], frame)
        real = (self.kind.sides(boxes) > 0).all(1)
        boxes, score, label = boxes[real], scores[row, label][real], label[real]
        kept = self.kind.nms(boxes, score, label)[: self.kind.settings.max_detections]
        return boxes[kept], score[kept], label[kept]

    def _frame(self, levels: Sequence[Tensor]) -> Size:
        height, width = levels[0].shape[-2:]
        return height * self.stride, width * self.stride

    def _maps(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        return [*self.pyramid({str(i): x for i, x in enumerate(levels)}).values()]

    def _truth(self, target: Boxes, frame: Size, device: torch.device) -> TrainingBoxes:
        target = target.where(~target.crowds)  # a region of many objects is no object to learn
        corners = target.corners.to(device)
        boxes = self.kind.from_corners(corners * _ratio(target.size, frame, corners), frame)
        clipped = clip_boxes_to_image(self.kind.enclosing(boxes), frame)
        sides = torch.cat([self.kind.sides(boxes), clipped[:, 2:] - clipped[:, :2]], 1)
        real = (sides >= SMALLEST).all(1)
        return TrainingBoxes(boxes[real], target.labels.to(device)[real])


def _ratio(size: Size, frame: Size, like: Tensor) -> Tensor:
    """The (x, y) ratio of the network's input size to the size of the image as read."""
    if min(size) <= 0:
        raise DataError(f"Expected boxes with the size of their image, but got {size}.")
    return like.new_tensor([frame[1] / size[1], frame[0] / size[0]])
