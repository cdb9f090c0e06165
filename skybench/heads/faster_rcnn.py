"""Faster R-CNN with a feature pyramid, for horizontal boxes.

As mmdetection has it for a ResNet-50, on which SkySense's recipe for DIOR rests. Against
torchvision's Faster R-CNN:

| | here, as mmdetection | torchvision |
|---|---|---|
| anchors on strides 4 to 64 | one of 8 cells, ratios 1/2, 1, 2 | 32 to 512 pixels, rounded |
| an object's best anchor | counts from IoU 0.3 | counts in any case |
| loss of boxes | L1 | smooth L1 (1/9) |
| proposals before / after suppression in training | 2000 a level / 1000 | 2000 / 2000 |
| RoIAlign | half a pixel off, adaptive sampling | whole pixels, 2 x 2 |
| last layers of regions begin | normal, 0.01 and 0.001 | uniform |

torchvision's are the code of the pyramid and of the hidden layers, how both begin (mmdetection:
Xavier), coding, suppression and RoIAlign. Alike in mmdetection and torchvision: IoU 0.7 / 0.3 and
0.5; 256 and 512 samples, half and a quarter of them objects; suppression at 0.7 and 0.5; score
0.05; 100 detections; deviations 0.1 and 0.2 of offsets; a box for each class; P6.

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
from skybench.heads._roi_stages import ROI_SIDE, Rules, Size
from skybench.heads.dense import Levels

RULES = Rules(
    beta=(0.0, 0.0),
    before=(2000, 1000),
    after=(1000, 1000),
    proposal_iou=0.7,
    each_class=True,
    most=100,
    flips=(0,),
)
NMS = 0.5
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # 1 / the deviations 0.1, 0.1, 0.2, 0.2 of a region's offsets


class Horizontal:
    """Boxes [N, 4] (x0, y0, x1, y1), cut off at the edges of the image; see `Kind`."""

    rules, offsets = RULES, (4, 4)
    anchor_coder, coder = BoxCoder((1.0, 1.0, 1.0, 1.0)), BoxCoder(WEIGHTS)

    def read(self, corners: Tensor, frame: Size) -> Tensor:
        return _cut(to_horizontal(corners), frame)

    def corners(self, boxes: Tensor) -> Tensor:
        return from_horizontal(boxes)

    def around(self, boxes: Tensor) -> Tensor:
        return boxes

    def sides(self, boxes: Tensor) -> Tensor:
        return boxes[:, 2:] - boxes[:, :2]

    def overlap(self, a: Tensor, b: Tensor) -> Tensor:
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

    def pool(self, features: Tensor, boxes: Sequence[Tensor], scale: float) -> Tensor:
        found: Tensor = roi_align(features, list(boxes), ROI_SIDE, scale, aligned=True)
        return found

    def suppress(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        kept: Tensor = batched_nms(boxes, scores, labels, NMS)
        return kept


def _cut(boxes: Tensor, frame: Size) -> Tensor:
    cut: Tensor = clip_boxes_to_image(boxes, frame)
    return cut


def faster_rcnn(levels: Levels, classes: int, recipe: Recipe) -> Detector:
    """The head; `recipe.width` is the width of the pyramid, 256 as published."""
    return Detector(Horizontal(), levels, classes, recipe)
