"""Average precision of rotated boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skybench.boxes.geometry import to_corners, to_horizontal, to_rotated
from skybench.boxes.iou import paired_iou
from skybench.core.errors import InvalidArray
from skybench.metrics._validation import FAR, Images, scene_from_arrays
from skybench.metrics.average_precision import VOC_RECALLS, Ranked, class_precisions
from skybench.metrics.horizontal_boxes import VOC_NAMES, CocoBoxes, voc_map
from skybench.metrics.matching import BoxForm
from skybench.metrics.ranked_sums import WeightTables

THIN = 0.01  # pixels; a thinner box, as of four points in a line, counts as that thick


def _inside(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The share [P] of the boxes `a` that lies in `b`; 0 without area."""
    iou, own, other = paired_iou(a, b), a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    common = iou * (own + other) / (1 + iou)
    return np.asarray(common / np.where(own > 0, own, 1))


def _form(corners: NDArray[Any]) -> NDArray[Any]:
    """The rectangles [N, 5] around corners, of some thickness even around points in a line."""
    boxes = to_rotated(corners)
    boxes[:, 2:4] = boxes[:, 2:4].clip(THIN)
    return boxes


ROTATED = BoxForm(_form, lambda boxes: to_horizontal(to_corners(boxes)), paired_iou, _inside)


def rotated_ap(
    detections: Images,
    truth: Images,
    iou: float = 0.5,
    points: int = 11,
    count_difficult: bool = False,
) -> dict[str, float]:
    """Return VOC's mean average precision `map` of rotated boxes in percent, at one rotated IoU.

    Boxes are corners [n, 4, 2] in order around the box, or (cx, cy, w, h, angle) [n, 5] as in
    `skybench.boxes.geometry`; all else is as in `voc_ap`. Corners that form no rectangle are
    replaced by their smallest enclosing rectangle, in the truth too, as in mmrotate; a side shorter
    than 0.01 pixels counts as that long, so that four points in a line can be found.
    Source: DOTA's and DIOR-R's mAP; open-mmlab/mmrotate@2a02038: eval_rbbox_map (11 points).

    >>> true = [([[5, 5, 10, 4, 0.3]], [0])]
    >>> rotated_ap([([[5, 5, 10, 4, 0.3], [5, 5, 4, 10, 0.3]], [0.8, 0.9], [0, 0])], true)
    {'map': 50.0, 'map_doubles': 50.0, 'doubles': 0.0}
    """
    return voc_map(
        scene_from_arrays(detections, truth, any_corners, count_difficult), ROTATED, iou, points
    )


class RotatedBoxes(CocoBoxes):
    """VOC's two scores at a rotated IoU of 0.5, `ap50_voc07` first, and COCO's scores.

    COCO's scores (see `coco_ap`) use all detections: an aerial image often has more than 100
    objects of a class. Boxes are compared as in `rotated_ap`. Derived from `CocoBoxes`, from which
    it differs by constants, and by the main score, which objects annotated twice keep below 100.
    """

    shape = ROTATED
    most = None
    names = (VOC_NAMES[0], VOC_NAMES[1], "ap50", "ap", "ap75", *VOC_NAMES[2:])

    def _main(self, coco: Ranked, voc: Ranked, tables: WeightTables) -> NDArray[np.float64]:
        (ap,) = class_precisions(voc, tables, (VOC_RECALLS[11],))
        return ap[:, 0]

    def attainable(self) -> float:
        """Return the mean AP with every object found once, before any false positive."""
        curves = self._curves()[1]
        each = []
        for label, ranked in curves.strict.items():
            objects = ranked.objects.sum()
            recall = (objects - curves.repeats[label]) / objects
            each.append((recall >= VOC_RECALLS[11]).mean())
        return float(np.mean(each) * 100) if each else 100.0


def any_corners(boxes: NDArray[Any]) -> NDArray[Any]:
    """Return corners [n, 4, 2], given as such or as boxes [n, 5].

    Raises InvalidArray for arrays of other shapes or values.
    """
    if not boxes.size:
        return np.zeros((0, 4, 2))
    if boxes.dtype.kind != "f" or boxes.itemsize < 4:
        boxes = boxes.astype(np.float64)  # small integers would overflow
    if boxes.shape[1:] == (4, 2):
        return boxes
    wrong = boxes.shape[1:] != (5,) or (boxes[:, 2:4] < 0).any()
    if wrong or not (abs(boxes.astype(float)) < FAR).all():
        raise InvalidArray(
            "Expected corners [n, 4, 2] or boxes [n, 5], (cx, cy, w, h, angle) with w and h at "
            f"least 0, all finite, but got {boxes.shape}: {boxes.reshape(-1)[:5]}.."
        )
    return to_corners(boxes)
