"""Speed of box metrics and detectors, beside other packages in the same run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skybench.bench.detector import training_step
from skybench.bench.timing import Timing, time_beside
from skybench.boxes.geometry import to_corners
from skybench.boxes.iou import rotated_iou
from skybench.metrics.horizontal_boxes import coco_ap
from skybench.metrics.rotated_boxes import rotated_ap

IMAGES, EACH, CLASSES = 2000, 60, 20  # of the COCO case: 120,000 detections
ROTATED = (1500, 200, 1500)  # boxes a side of the IoU; images and detections each of the AP
SIDE = 800.0
PEERS = {  # package -> where its classes are, and how often it runs
    "pycocotools": ("pycocotools.coco.COCO", "pycocotools.cocoeval.COCOeval", 1),
    "faster_coco_eval": ("faster_coco_eval.COCO", "faster_coco_eval.COCOeval_faster", 5),
    "hotcoco": ("hotcoco.COCO", "hotcoco.COCOeval", 5),
}


def _boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Rotated boxes [count, 5] of 8 to 60 pixels."""
    centres, sides = rng.uniform(0, SIDE, (count, 2)), rng.uniform(8, 60, (count, 2))
    sides.sort(axis=1)
    angles = rng.uniform(-np.pi / 2, np.pi / 2, (count, 1))
    return np.concatenate([centres, sides[:, ::-1], angles], 1)


def _upright(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1)


def _scenes(
    images: int, each: int, classes: int, shape: Callable[[Any], Any]
) -> tuple[list[Any], list[Any]]:
    """Truth, and detections that are half of it moved a little, half elsewhere."""
    rng, truth, found = np.random.default_rng(0), [], []
    for _ in range(images):
        true, labels = _boxes(rng, each // 2), rng.integers(0, classes, each // 2)
        near = true + rng.normal(0, 2, true.shape) * [1, 1, 0.5, 0.5, 0.02]
        near[:, 2:4] = near[:, 2:4].clip(2)
        said = np.concatenate([near, _boxes(rng, each - len(true))])
        names = np.concatenate([labels, rng.integers(0, classes, each - len(true))])
        truth.append((shape(true), labels))
        found.append((shape(said), rng.random(each), names))
    return found, truth


def _evaluation(found: list[Any], truth: list[Any], module: str) -> Callable[[], Any] | None:
    """A function that scores these boxes with a package; None: it is not installed.

    The evaluation alone: the package has read the boxes before. It gives recalls, and scores by
    the size of objects, besides.
    """
    if importlib.util.find_spec(module) is None:
        return None
    coco, kind = (
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
        for path in PEERS[module][:2]
    )
    dataset, said = _records(found, truth)
    with contextlib.redirect_stdout(io.StringIO()):  # they print what they do
        if module == "hotcoco":
            true_set = coco(dataset)
        else:
            true_set = coco()
            true_set.dataset = dataset
            true_set.createIndex()
        evaluation = kind(true_set, true_set.loadRes(said), "bbox")

    def run() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats

    return run


def _records(found: list[Any], truth: list[Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and detections as COCO's files have them."""
    images = [{"id": i, "width": int(SIDE), "height": int(SIDE)} for i in range(len(truth))]
    boxes: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for i, ((true, labels), (near, scores, names)) in enumerate(zip(truth, found, strict=True)):
        for box, label in zip(_sized(true), labels.tolist(), strict=True):
            fields = {"image_id": i, "category_id": label, "bbox": box, "iscrowd": 0}
            boxes.append(fields | {"id": len(boxes) + 1, "area": box[2] * box[3]})
        for box, score, label in zip(_sized(near), scores.tolist(), names.tolist(), strict=True):
            said.append({"image_id": i, "category_id": label, "bbox": box, "score": score})
    categories = [{"id": c, "name": str(c)} for c in range(CLASSES)]
    return {"info": {}, "images": images, "annotations": boxes, "categories": categories}, said


def _sized(boxes: NDArray[np.float64]) -> list[list[float]]:
    return [[x, y, x1 - x, y1 - y] for x, y, x1, y1 in boxes.tolist()]


def _shapely_loop(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """What one writes first: every pair of polygons that intersect."""
    from shapely.geometry import Polygon

    first, second = ([Polygon(c) for c in to_corners(x)] for x in (a, b))
    for one in first:
        for other in second:
            if one.intersects(other):
                _ = one.intersection(other).area / one.union(other).area


def bench_boxes() -> list[Timing]:
    """Time COCO's AP, rotated IoU, rotated AP and a training step, each beside its peers."""
    found, truth = _scenes(IMAGES, EACH, CLASSES, _upright)
    what = f"COCO AP, {IMAGES} images, {IMAGES * EACH} detections"
    races = [
        time_beside(
            what, lambda: coco_ap(found, truth), module, _evaluation(found, truth, module), rounds
        )
        for module, (_, _, rounds) in PEERS.items()
    ]
    rng = np.random.default_rng(1)
    count, images, each = ROTATED
    a, b = _boxes(rng, count), _boxes(rng, count)
    what = f"rotated IoU, {count} x {count} boxes"
    races.append(
        time_beside(what, lambda: rotated_iou(a, b), "shapely loop", lambda: _shapely_loop(a, b))
    )
    said, true = _scenes(images, each, 1, np.asarray)
    what = f"rotated AP, {images} images with {each // 2} objects, {each} detections of a class"
    peer = f"shapely loop, IoU alone, of one image x {images}"
    races.append(
        time_beside(
            what,
            lambda: rotated_ap(said, true),
            peer,
            lambda: _shapely_loop(said[0][0], true[0][0]),
            parts=images,
        )
    )
    return [*races, training_step()]
