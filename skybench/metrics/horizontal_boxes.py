"""Average precision of horizontal boxes; `rotated_boxes` is the same for rotated boxes.

All in NumPy: hotcoco, COCO's evaluation in Rust, gives equal scores and is not faster
(`skybench bench boxes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_horizontal
from skybench.core.errors import InvalidArray
from skybench.metrics._arrays import as_whole_number
from skybench.metrics._packing import array_fields, pack_images, unpack_images
from skybench.metrics._validation import (
    Images,
    horizontal_corners,
    scene_from_arrays,
    validate_detections,
    validate_truth,
)
from skybench.metrics.average_precision import (
    COCO_IOUS,
    COCO_RECALLS,
    VOC_RECALLS,
    Ranked,
    VocCurves,
    class_precisions,
    coco_curves,
    coco_scores,
    equal_boxes,
    over_classes,
    voc_curves,
)
from skybench.metrics.matching import (
    BoxForm,
    Scene,
    TrueBoxes,
    Verdicts,
    find_pairs,
    gather_scene,
    rank_within_group,
)
from skybench.metrics.ranked_sums import WeightTables

MOST = 100  # detections of a class in an image that COCO evaluates
VOC_NAMES = ("ap50_voc07", "ap50_voc12", "ap50_voc07_doubles", "ap50_voc12_doubles")


def horizontal_iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the IoU [P] of pairs of horizontal boxes, [P, 4] each.

    >>> horizontal_iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]]))
    array([0.33333333])
    """
    common = _intersection(a, b)
    union = _area(a) + _area(b) - common
    return np.asarray(common / np.where(union > 0, union, 1))


def _intersection(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(sides[:, 0].clip(0) * sides[:, 1].clip(0))


def _area(boxes: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _inside(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The share [P] of the boxes `a` that lies in `b`; 0 without area."""
    own = _area(a)
    return np.asarray(_intersection(a, b) / np.where(own > 0, own, 1))


HORIZONTAL = BoxForm(to_horizontal, np.asarray, horizontal_iou, _inside)


def coco_ap(
    detections: Images, truth: Images, count_difficult: bool = False, most: int | None = MOST
) -> dict[str, float]:
    """Return COCO's average precision in percent: `ap50`, `ap` (IoU 0.50:0.95) and `ap75`.

    detections: for each image (boxes [n, 4], scores [n], labels [n]); truth: for each image
    (boxes [m, 4], labels [m]), (boxes, labels, difficult [m]) or (boxes, labels, difficult, crowd
    [m]). Boxes are (x0, y0, x1, y1) in continuous coordinates (the width is x1 - x0), labels
    integers from 0.
    The mean over the classes of the truth and 101 recalls of the precision of the `most` highest
    detections of a class in an image (None: of all). Equal scores rank as given. Difficult objects
    are ignored: a detection matched to one is neither true nor false positive; with
    `count_difficult` they count as others. A crowd region (COCO's `iscrowd`) is always ignored; a
    detection belongs to it by the share of the detection that lies in it, and any number do.
    An object without area counts and is never found. NaN if no object counts.
    Raises InvalidArray, a ValueError, for unequal lengths, no image, values that are NaN or
    infinite, boxes with x1 < x0 or y1 < y0, labels below 0.
    Source: cocodataset/cocoapi: PythonAPI/pycocotools/cocoeval.py, area "all".

    >>> coco_ap([([[0, 0, 10, 8]], [0.9], [3])], [([[0, 0, 10, 10]], [3])])
    {'ap50': 100.0, 'ap': 70.0, 'ap75': 100.0}
    """
    scene = scene_from_arrays(detections, truth, horizontal_corners, count_difficult)
    most = None if most is None else as_whole_number(most, "most", 1)
    curves = coco_curves(scene, find_pairs(scene, HORIZONTAL, COCO_IOUS[0]), most)
    ones = WeightTables(np.ones((1, scene.number)))
    each = [coco_scores(curve, ones) for curve in curves.values()]
    found = over_classes(each, ("ap50", "ap", "ap75"), 1)
    return {name: float(value[0]) for name, value in found.items()}


def voc_ap(
    detections: Images,
    truth: Images,
    iou: float = 0.5,
    points: int = 11,
    count_difficult: bool = False,
) -> dict[str, float]:
    """Return Pascal VOC's mean average precision `map` in percent, at one IoU.

    Input and errors are those of `coco_ap`. points: 11 for the mean precision at the recalls 0,
    0.1, .. 1 (VOC 2007), 0 for the area under the curve (from VOC 2010 on). All detections
    count. A detection is matched to the object of highest IoU, even if that is already found:
    then it is a false positive. Coordinates are continuous; VOC's own code counts pixels (+ 1).
    An object annotated k times (equal boxes of one class in one image) counts k times and is found
    once, so that the truth itself scores less than 100. `map_doubles`: with k hits for it;
    `doubles`: the number of objects, no percentage, that repeat another one.
    Source: Everingham et al., IJCV 2010, 88, 303-338; open-mmlab/mmdetection: eval_map.

    >>> voc_ap([([[0, 0, 10, 8]], [0.9], [3])], [([[0, 0, 10, 10], [20, 0, 30, 9]], [3, 3])])
    {'map': 54.54545454545454, 'map_doubles': 54.54545454545454, 'doubles': 0.0}
    """
    scene = scene_from_arrays(detections, truth, horizontal_corners, count_difficult)
    return voc_map(scene, HORIZONTAL, iou, points)


def voc_map(scene: Scene, shape: BoxForm, iou: float, points: int) -> dict[str, float]:
    """Return the score of `voc_ap` for any form of box.

    Raises InvalidArray for an iou or points out of range.
    """
    number = isinstance(iou, Real) and isinstance(points, Hashable)
    if not number or points not in VOC_RECALLS or not 0 < iou <= 1:
        raise InvalidArray(
            f"Expected an IoU above 0, at most 1, and 11 or 0 points, but got {iou} and {points}."
        )
    curves = voc_curves(scene, find_pairs(scene, shape, iou), iou)
    ones, steps = WeightTables(np.ones((1, scene.number))), (VOC_RECALLS[points],)
    found = {}
    for name, rule in (("map", curves.strict), ("map_doubles", curves.doubles)):
        each = [class_precisions(curve, ones, steps)[0] for curve in rule.values()]
        found[name] = float(np.mean(each) * 100) if each else float("nan")
    return found | {"doubles": float(sum(curves.repeats.values()))}


class CocoBoxes:
    """The scores of `coco_ap`, `ap50` first, and both of VOC at IoU 0.5.

    `ap50_voc07`: over 11 points; `ap50_voc12`: the area under the curve (see `voc_ap`);
    `ap50_voc07_doubles`, `ap50_voc12_doubles`: with k hits for an object that is annotated k times,
    as COCO's scores have it.
    Source: DIOR is scored by COCO's AP50 in SkySense and MTP, by VOC's AP in its own paper.
    """

    shape = HORIZONTAL
    most: int | None = MOST
    names: tuple[str, ...] = ("ap50", "ap", "ap75", *VOC_NAMES)

    def __init__(self, classes: tuple[str, ...], count_difficult: bool = False) -> None:
        self.classes, self.count_difficult = classes, count_difficult
        self.said: list[Detections] = []
        self.true: list[TrueBoxes] = []
        self.curves: tuple[Mapping[int, Ranked], VocCurves] | None = None

    def fresh(self) -> Self:
        return type(self)(self.classes, self.count_difficult)

    def perfect(self, target: Any) -> Detections:
        """Return the countable objects as detections: repeated ones last, which VOC finds once."""
        counts = ~np.asarray(target.difficult) | self.count_difficult
        if getattr(target, "crowd", None) is not None:
            counts &= ~np.asarray(target.crowd)
        corners, labels = np.asarray(target.corners)[counts], np.asarray(target.labels)[counts]
        repeated = rank_within_group(equal_boxes(corners, labels)) > 0
        return Detections(corners, np.where(repeated, 0.5, 1.0), labels)

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Count one image; prediction: `Detections`; target: `core.Boxes`."""
        count = len(self.classes)
        said = validate_detections(prediction, count)
        crowd = getattr(target, "crowd", None)
        true = TrueBoxes(target.corners, target.labels, target.difficult, crowd)
        self.true.append(validate_truth(true, self.count_difficult, count))
        self.said.append(said)
        self.curves = None

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return scores in percent: floats, or arrays [B] for weights [B, N], counts of images."""
        w = np.ones((1, len(self.true))) if weights is None else weights
        found = over_classes([*self._each(w).values()], self.names, len(w))
        return {k: float(v[0]) for k, v in found.items()} if weights is None else found

    def main_score(self, weights: NDArray[np.float64] | None = None) -> Any:
        """Return the first of `scores` alone: a float, or an array [B] for weights [B, N]."""
        coco, voc = self._curves()
        tables = WeightTables(np.ones((1, len(self.true))) if weights is None else weights)
        each = [{self.names[0]: self._main(coco[c], voc.strict[c], tables)} for c in coco]
        (found,) = over_classes(each, self.names[:1], len(tables.weights)).values()
        return float(found[0]) if weights is None else found

    def _main(self, coco: Ranked, voc: Ranked, tables: WeightTables) -> NDArray[np.float64]:
        """The main score [B] of one class in 0..1."""
        verdict = Verdicts(coco.verdict.hit[:, :1], coco.verdict.ignored[:, :1])
        (ap,) = class_precisions(coco._replace(verdict=verdict), tables, (COCO_RECALLS,))
        return ap[:, 0]

    def found(self, keys: Sequence[str]) -> dict[str, Detections]:
        """Return the detections of each image by its key; keys: of the images, in order."""
        return dict(zip(keys, self.said, strict=True))

    def state(self) -> dict[str, NDArray[Any]]:
        said, true = ([array_fields(one) for one in each] for each in (self.said, self.true))
        return pack_images("said", said) | pack_images("true", true)

    def restored(self, state: Mapping[str, NDArray[Any]]) -> Self:
        whole = self.fresh()
        whole.said = [Detections(**one) for one in unpack_images("said", state)]
        whole.true = [TrueBoxes(**one) for one in unpack_images("true", state)]
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the scores of every class with a countable object, in percent."""
        each = self._each(np.ones((1, len(self.true))))
        return {
            self.classes[label]: {name: float(found[name][0] * 100) for name in self.names}
            for label, found in each.items()
        }

    def chance(self) -> float:
        """Return 0: constant boxes match next to nothing."""
        return 0.0

    def attainable(self) -> float:
        """Return the highest main score that any detections can get, in percent."""
        return 100.0

    def notes(self) -> tuple[str, ...]:
        """Return a sentence on the objects that are annotated more than once, if there are any."""
        count = sum(self._curves()[1].repeats.values())
        if not count:
            return ()
        are = "object repeats" if count == 1 else "objects repeat"
        return (
            f"{count} {are} the box and class of another of the image: {VOC_NAMES[0]} and "
            f"{VOC_NAMES[1]} count one hit for such a set, as VOC and mmrotate do, the scores "
            "called doubles and COCO's one for each of it",
        )

    def _curves(self) -> tuple[Mapping[int, Ranked], VocCurves]:
        if self.curves is None:
            scene = gather_scene(self.said, self.true)
            pairs = find_pairs(scene, self.shape, COCO_IOUS[0])
            self.curves = coco_curves(scene, pairs, self.most), voc_curves(scene, pairs, 0.5)
        return self.curves

    def _each(self, weights: NDArray[np.float64]) -> dict[int, dict[str, NDArray[np.float64]]]:
        """The scores [B] of every class, in 0..1."""
        coco, voc = self._curves()
        rules, tables = (VOC_RECALLS[11], None), WeightTables(weights)
        found = {}
        for label in coco:
            strict = class_precisions(voc.strict[label], tables, rules)
            doubles = (
                class_precisions(voc.doubles[label], tables, rules)
                if voc.repeats[label]
                else strict
            )
            own = zip(VOC_NAMES, (*strict, *doubles), strict=True)
            found[label] = coco_scores(coco[label], tables) | {n: ap[:, 0] for n, ap in own}
        return found
