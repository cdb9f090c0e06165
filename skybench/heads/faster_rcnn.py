"""Faster R-CNN with a feature pyramid, for horizontal boxes.

As mmdetection has it for a ResNet-50, on which SkySense's recipe for DIOR rests. Against
torchvision's Faster R-CNN:

| | here, as mmdetection | torchvision |
|---|---|---|
| anchors on strides 4 to 64 | one of 8 cells, ratios 1/2, 1, 2 | 32 to 512 pixels, rounded |
| an object's best anchor | positive from IoU 0.3 | always positive |
| loss of boxes | L1 | smooth L1 (1/9) |
| proposals before / after NMS in training | 2000 a level / 1000 | 2000 / 2000 |
| RoIAlign | half a pixel off, adaptive sampling | whole pixels, 2 x 2 |
| initialisation of the last RoI layers | normal, 0.01 and 0.001 | uniform |

The code of FPN and hidden layers, their initialisation (mmdetection: Xavier), box coding, NMS and
RoIAlign are torchvision's. Equal in mmdetection and torchvision: IoU 0.7 / 0.3 and 0.5; 256 and 512
samples, half and a quarter of them positive; NMS at 0.7 and 0.5; score 0.05; 100 detections;
standard deviations 0.1 and 0.2 of offsets; class-specific boxes; P6.

Source: open-mmlab/mmdetection@0c7842f configs/_base_/models/faster-rcnn_r50_fpn.py; flips as in
Bili-Sakura/SkySense@107d4e0 detection/configs/swin_transformer_v2/
faster_rcnn_swinv2_huge_patch4_window8_fpn-1x_dior.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image, roi_align

from skybench.boxes.geometry import from_horizontal, to_horizontal
from skybench.core import Recipe
from skybench.heads._detector import Detector
from skybench.heads._roi_stages import ROI_SIDE, DetectorSettings, Size
from skybench.heads.decoders import Levels

SETTINGS = DetectorSettings(
    beta=(0.0, 0.0),
    pre_nms=(2000, 1000),
    post_nms=(1000, 1000),
    proposal_nms_iou=0.7,
    class_specific=True,
    max_detections=100,
    flips=(0,),
)
NMS = 0.5
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # 1 / the standard deviations 0.1, 0.1, 0.2, 0.2 of offsets


class HorizontalKind:
    """Horizontal boxes [N, 4] (x0, y0, x1, y1), clipped to the image; see `BoxKind`."""

    settings, offsets = SETTINGS, (4, 4)
    anchor_coder, coder = BoxCoder((1.0, 1.0, 1.0, 1.0)), BoxCoder(WEIGHTS)

    def from_corners(self, corners: Tensor, frame: Size) -> Tensor:
        return _cut(to_horizontal(corners), frame)

    def to_corners(self, boxes: Tensor) -> Tensor:
        return from_horizontal(boxes)

    def enclosing(self, boxes: Tensor) -> Tensor:
        return boxes

    def sides(self, boxes: Tensor) -> Tensor:
        return boxes[:, 2:] - boxes[:, :2]

    def iou(self, a: Tensor, b: Tensor) -> Tensor:
        found: Tensor = box_iou(a, b)
        return found

    def encode_anchors(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        found: Tensor = self.anchor_coder.encode_single(boxes, anchors)
        return found

    def decode_anchors(self, anchors: Tensor, offsets: Tensor, frame: Size) -> Tensor:
        return _cut(self.anchor_coder.decode_single(offsets, anchors), frame)

    def encode(self, regions: Tensor, boxes: Tensor) -> Tensor:
        found: Tensor = self.coder.encode_single(boxes, regions)
        return found

    def decode(self, regions: Tensor, offsets: Tensor, frame: Size) -> Tensor:
        return _cut(self.coder.decode_single(offsets, regions), frame)

    def roi_align(self, features: Tensor, boxes: Sequence[Tensor], scale: float) -> Tensor:
        found: Tensor = roi_align(features, list(boxes), ROI_SIDE, scale, aligned=True)
        return found

    def nms(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        kept: Tensor = batched_nms(boxes, scores, labels, NMS)
        return kept


def _cut(boxes: Tensor, frame: Size) -> Tensor:
    cut: Tensor = clip_boxes_to_image(boxes, frame)
    return cut


def faster_rcnn(levels: Levels, classes: int, recipe: Recipe) -> Detector:
    """Return the detection head; `recipe.width` is the width of the FPN, 256 as published."""
    return Detector(HorizontalKind(), levels, classes, recipe)
