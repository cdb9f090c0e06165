"""A two-stage detector on a feature pyramid: the network, without how it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork, clip_boxes_to_image
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from skybench.boxes.detections import Detections
from skybench.core import Boxes, DataError
from skybench.heads._anchors import anchors_of
from skybench.heads._roi_stages import Kind, Namer, Proposer, Size, Truth
from skybench.heads.dense import Levels, Neck

SCORE = 0.05  # least score of a detection
SMALLEST = 1.0  # least side of an object that is learned, in pixels of the network's image


class TwoStage(nn.Module):
    """From the maps of a backbone, frozen or not, to losses in training and to detections.

    Inside, all is in pixels of the image that the network saw: the finest map's size times its
    stride. Images may have been brought to that size; boxes go in and out in their own pixels.
    Source: Lin et al. 2017 (arXiv 1612.03144) for the pyramid; P6 is P5 at every other place.
    """

    def __init__(self, kind: Kind, levels: Levels, classes: int, width: int) -> None:
        super().__init__()
        self.kind, self.stride = kind, levels[0][1]
        channels = [c for c, _ in levels]
        self.neck = Neck(*levels[0], width) if len(channels) == 1 else None
        if self.neck is not None:
            channels = [width] * len(self.neck.scales)
        self.pyramid = FeaturePyramidNetwork(channels, width, LastLevelMaxPool())
        self.proposer = Proposer(kind, width)
        self.namer = Namer(kind, classes, width)

    def forward(self, levels: Sequence[Tensor], targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """The losses, by name.

        levels: [B, C_i, h_i, w_i], finest first; targets: B, with sizes. Objects that are smaller
        than a pixel or outside the image are passed over.
        """
        frame = self._frame(levels)
        truths = [self._truth(t, frame, levels[0].device) for t in targets]
        maps = self._maps(levels)
        anchors = anchors_of(maps, frame)
        scores, offsets = self.proposer(maps)
        proposals = self.proposer.propose(scores, offsets, anchors, frame)
        every = torch.cat(scores, 1), torch.cat(offsets, 1), torch.cat(anchors)
        losses: dict[str, Tensor] = self.proposer.losses(*every, truths)
        return losses | self.namer.losses(maps[:-1], proposals, frame, truths)

    @torch.no_grad()
    def detect(self, levels: Sequence[Tensor], sizes: Sequence[Size]) -> list[Detections]:
        """What is in each image, the highest score first; sizes: height and width of each."""
        frame, maps = self._frame(levels), self._maps(levels)
        scores, offsets = self.proposer(maps)
        proposals = self.proposer.propose(scores, offsets, anchors_of(maps, frame), frame)
        logits, offsets = self.namer(maps[:-1], proposals, frame)
        counts = [len(p) for p in proposals]
        each = zip(proposals, logits.softmax(1).split(counts), offsets.split(counts), strict=True)
        found = []
        for one, size in zip(each, sizes, strict=True):
            boxes, scores, labels = self._best(*one, frame)
            corners = self.kind.corners(boxes) / _ratio(size, frame, boxes)
            found.append(Detections(*(x.cpu().numpy() for x in (corners, scores, labels))))
        return found

    def _best(
        self, regions: Tensor, scores: Tensor, offsets: Tensor, frame: Size
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of an image; scores: [n, K + 1], offsets: [n, K or 1, ...]."""
        row, label = (scores[:, :-1] > SCORE).nonzero(as_tuple=True)
        variant = label if self.kind.rules.each_class else torch.zeros_like(label)
        boxes = self.kind.decode(regions[row], offsets[row, variant], frame)
        real = (self.kind.sides(boxes) > 0).all(1)
        boxes, score, label = boxes[real], scores[row, label][real], label[real]
        kept = self.kind.suppress(boxes, score, label)[: self.kind.rules.most]
        return boxes[kept], score[kept], label[kept]

    def _frame(self, levels: Sequence[Tensor]) -> Size:
        height, width = levels[0].shape[-2:]
        return height * self.stride, width * self.stride

    def _maps(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self.neck is not None:
            levels = self.neck(levels)
        return [*self.pyramid({str(i): x for i, x in enumerate(levels)}).values()]

    def _truth(self, target: Boxes, frame: Size, device: torch.device) -> Truth:
        corners = target.corners.to(device)
        boxes = self.kind.read(corners * _ratio(target.size, frame, corners), frame)
        around = clip_boxes_to_image(self.kind.around(boxes), frame)
        sides = torch.cat([self.kind.sides(boxes), around[:, 2:] - around[:, :2]], 1)
        real = (sides >= SMALLEST).all(1)
        return Truth(boxes[real], target.labels.to(device)[real])


def _ratio(size: Size, frame: Size, like: Tensor) -> Tensor:
    """Pixels of the network's image for one of the image as read, (x, y)."""
    if min(size) <= 0:
        raise DataError(f"Expected boxes with the size of their image, but got {size}.")
    return like.new_tensor([frame[1] / size[1], frame[0] / size[0]])
