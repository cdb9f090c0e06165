"""Oriented R-CNN: oriented proposals by midpoint offsets, then rotated box regression.

Source: Xie et al. 2021 (arXiv 2108.05699); all constants as in
open-mmlab/mmrotate@18515d4 configs/oriented_rcnn/oriented_rcnn_r50_fpn_1x_dota_le90.py, with two
differences: mmrotate leaves out anchors that cross the edge of the image, which in small images are
nearly all; here, as in mmdetection, all are used. And mmrotate's midpoint offsets of a thin, nearly
upright box give a box without area: it tests for two corners within 0.1 pixels at the top and at
the right separately; here a box is upright as a whole or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from skybench.boxes.geometry import le90, to_corners, to_horizontal, to_rotated
from skybench.boxes.iou import rotated_iou
from skybench.boxes.nms import rotated_nms
from skybench.boxes.roi_align import rotated_roi_align
from skybench.core import Recipe
from skybench.heads._detector import Detector
from skybench.heads._roi_stages import ROI_SIDE, DetectorSettings, Size
from skybench.heads.decoders import Levels

SETTINGS = DetectorSettings(
    beta=(1 / 9, 1.0),
    pre_nms=(2000, 2000),
    post_nms=(2000, 2000),
    proposal_nms_iou=0.8,
    class_specific=False,
    max_detections=2000,
    flips=(0, 1),  # a quarter each way, and along both
)
NMS = 0.1
CANDIDATES = 5000  # boxes of an image that enter NMS, to limit memory
DEVIATIONS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5), (0.1, 0.1, 0.2, 0.2, 0.1)  # standard, of offsets
LARGEST = math.log(1000 / 16)  # log of the largest factor by which a side changes
TIE = 0.1  # pixels; a box whose sides are tilted by no more is upright


def encode_midpoints(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return midpoint offsets [N, 6] (dx, dy, dw, dh, da, db) from anchors [N, 4] to boxes [N, 5].

    The first four encode the enclosing horizontal box; da is the shift of the top corner right of
    its centre, db of the right corner below its centre, relative to its width and height:
    -0.5..0.5. Of an upright box they are the upper right and the lower right corner.
    """
    points = to_corners(boxes)
    x, y = points.unbind(-1)
    around = to_horizontal(points)
    middle, side = (around[:, :2] + around[:, 2:]) / 2, around[:, 2:] - around[:, :2]
    lean = (points[:, 1:3] - points[:, :2]).abs().amin(-1).amax(1, keepdim=True)  # of both sides
    tie = TIE * (lean <= TIE)
    first = x.masked_fill(y - around[:, 1:2] > tie, -math.inf).argmax(1, keepdim=True)
    top, right = x.gather(1, first)[:, 0], y.gather(1, (first + 1) % 4)[:, 0]
    own, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    bend = (torch.stack([top, right], 1) - middle) / side
    offsets = torch.cat([(middle - own) / size, torch.log(side / size), bend], 1)
    return offsets / offsets.new_tensor(DEVIATIONS[0])


def decode_midpoints(anchors: Tensor, offsets: Tensor) -> Tensor:
    """Return boxes [N, 5] from anchors [N, 4] and offsets [N, 6]; inverse of `encode_midpoints`.

    Offsets in general give a parallelogram; its shorter diagonal is extended to the length of the
    longer one, which makes it a rectangle.
    """
    scaled = offsets * offsets.new_tensor(DEVIATIONS[0])
    shift, grow, bend = scaled[:, :2], scaled[:, 2:4], scaled[:, 4:]
    own, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    middle, side = own + shift * size, size * grow.clamp(-LARGEST, LARGEST).exp()
    across, down = (bend.clamp(-0.5, 0.5) * side).unbind(1)
    half_width, half_height = (side / 2).unbind(1)
    top = torch.stack([across, -half_height], 1)  # from the middle
    right = torch.stack([half_width, down], 1)
    lengths = torch.stack([top.norm(dim=1), right.norm(dim=1)])
    top, right = (
        v * (lengths.amax(0) / n)[:, None] for v, n in ((top, lengths[0]), (right, lengths[1]))
    )
    edge, other = right - top, right + top
    angle = torch.atan2(edge[:, 1], edge[:, 0])
    sides = torch.stack([edge.norm(dim=1), other.norm(dim=1), angle], 1)
    return le90(torch.cat([middle, sides], 1))


def encode_rotated(regions: Tensor, boxes: Tensor) -> Tensor:
    """Return offsets [N, 5] (dx, dy, dw, dh, da) from rotated regions to boxes, both [N, 5].

    dx and dy are along the sides of the region. The order of the box's sides is that of the
    smallest rotation: da in -pi/4..pi/4 before scaling.
    """
    moved = boxes[:, :2] - regions[:, :2]
    cos, sin = regions[:, 4].cos(), regions[:, 4].sin()
    x, y = moved.unbind(1)
    shift = torch.stack([cos * x + sin * y, cos * y - sin * x], 1) / regions[:, 2:4]
    turn = torch.remainder(boxes[:, 4] - regions[:, 4] + math.pi / 4, math.pi) - math.pi / 4
    swap = turn > math.pi / 4  # turn is in -pi/4..3pi/4
    sides = torch.where(swap[:, None], boxes[:, [3, 2]], boxes[:, 2:4])
    turn = torch.where(swap, turn - math.pi / 2, turn)
    offsets = torch.cat([shift, torch.log(sides / regions[:, 2:4]), turn[:, None]], 1)
    return offsets / offsets.new_tensor(DEVIATIONS[1])


def decode_rotated(regions: Tensor, offsets: Tensor) -> Tensor:
    """Return boxes [N, 5] from regions [N, 5] and offsets [N, 5]; inverse of `encode_rotated`."""
    scaled = offsets * offsets.new_tensor(DEVIATIONS[1])
    x, y = (scaled[:, :2] * regions[:, 2:4]).unbind(1)
    cos, sin = regions[:, 4].cos(), regions[:, 4].sin()
    moved = torch.stack([cos * x - sin * y, sin * x + cos * y], 1)
    sides = regions[:, 2:4] * scaled[:, 2:4].clamp(-LARGEST, LARGEST).exp()
    angle = regions[:, 4:] + scaled[:, 4:]
    return le90(torch.cat([regions[:, :2] + moved, sides, angle], 1))


class OrientedKind:
    """Rotated boxes [N, 5] (cx, cy, w, h, angle, le90), centre in the image; see `BoxKind`."""

    settings, offsets = SETTINGS, (6, 5)

    def from_corners(self, corners: Tensor, frame: Size) -> Tensor:
        return to_rotated(corners)

    def to_corners(self, boxes: Tensor) -> Tensor:
        return to_corners(boxes)

    def enclosing(self, boxes: Tensor) -> Tensor:
        return to_horizontal(to_corners(boxes))

    def sides(self, boxes: Tensor) -> Tensor:
        return boxes[:, 2:4]

    def iou(self, a: Tensor, b: Tensor) -> Tensor:
        return rotated_iou(a, b)

    def encode_anchors(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        return encode_midpoints(anchors, boxes)

    def decode_anchors(self, anchors: Tensor, offsets: Tensor, frame: Size) -> Tensor:
        return decode_midpoints(anchors, offsets)

    def encode(self, regions: Tensor, boxes: Tensor) -> Tensor:
        return encode_rotated(regions, boxes)

    def decode(self, regions: Tensor, offsets: Tensor, frame: Size) -> Tensor:
        boxes = decode_rotated(regions, offsets)
        limits = boxes.new_tensor([frame[1], frame[0]])
        return torch.cat([boxes[:, :2].clamp(min=0).minimum(limits), boxes[:, 2:]], 1)

    def roi_align(self, features: Tensor, boxes: Sequence[Tensor], scale: float) -> Tensor:
        return rotated_roi_align(features, boxes, scale, ROI_SIDE)

    def nms(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        best = scores.argsort(descending=True, stable=True)[:CANDIDATES]
        return best[rotated_nms(boxes[best], scores[best], labels[best], NMS)]


def oriented_rcnn(levels: Levels, classes: int, recipe: Recipe) -> Detector:
    """Return the detection head; `recipe.width` is the width of the FPN, 256 as published."""
    return Detector(OrientedKind(), levels, classes, recipe)
