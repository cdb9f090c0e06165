"""Speed of box metrics and detectors, beside other packages in the same run."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

from skybench.bench.timing import Form, Peer, Timing, installed, time_beside
from skybench.boxes.geometry import to_corners
from skybench.boxes.iou import rotated_iou
from skybench.metrics.horizontal_boxes import coco_ap
from skybench.metrics.rotated_boxes import rotated_ap

EACH, CLASSES = 60, 20  # detections an image and classes of the COCO case
SIDE = 800.0


class _Case(NamedTuple):
    images: int  # of the COCO case
    boxes: int  # a side of the rotated IoU
    scenes: int  # images of the rotated AP
    detections: int  # of a class in each of them


CASES = {
    "tiny": _Case(3, 30, 2, 40),
    "short": _Case(500, 500, 200, 1500),
    "full": _Case(2000, 1500, 200, 1500),
}
PEERS = {  # package -> where its classes are, how often it runs, and the target
    "pycocotools": ("pycocotools.coco.COCO", "pycocotools.cocoeval.COCOeval", 1, ""),
    "faster-coco-eval": (
        "faster_coco_eval.COCO", "faster_coco_eval.COCOeval_faster", 5, ">= 14",
    ),
    "hotcoco": ("hotcoco.COCO", "hotcoco.COCOeval", 5, ""),
}  # fmt: skip
ROTATED_MUST = ">= 60"


def _boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Rotated boxes [count, 5] of 8 to 60 pixels."""
    centres, sides = rng.uniform(0, SIDE, (count, 2)), rng.uniform(8, 60, (count, 2))
    sides.sort(axis=1)
    angles = rng.uniform(-np.pi / 2, np.pi / 2, (count, 1))
    return np.concatenate([centres, sides[:, ::-1], angles], 1)


def upright_boxes(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners [count, 4] (x0, y0, x1, y1) of boxes turned upright."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1)


def made_scenes(
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


def _evaluation(found: list[Any], truth: list[Any], package: str) -> Callable[[], Any]:
    """A function that scores these boxes with a package.

    The evaluation alone: the package has read the boxes before. It gives recalls, and scores by
    the size of objects, besides.
    """
    coco, kind = (
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
        for path in PEERS[package][:2]
    )
    dataset, said = _records(found, truth)
    with contextlib.redirect_stdout(io.StringIO()):  # they print what they do
        if package == "hotcoco":
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
    first, second = ([Polygon(c) for c in to_corners(x)] for x in (a, b))
    for one in first:
        for other in second:
            if one.intersects(other):
                _ = one.intersection(other).area / one.union(other).area


def time_boxes(form: Form) -> Iterator[Timing]:
    """Yield COCO's AP beside three packages, and rotated IoU and AP beside a loop with shapely."""
    case = CASES[form]
    found, truth = made_scenes(case.images, EACH, CLASSES, upright_boxes)
    what = f"COCO AP, {case.images:,} images, {case.images * EACH:,} detections"
    for package, (_, _, rounds, must) in PEERS.items():
        peer = installed(package, lambda: None)
        if peer.run is not None:
            peer = peer._replace(run=_evaluation(found, truth, package))
        most = 1 if form == "tiny" else rounds
        yield time_beside(what, lambda: coco_ap(found, truth), peer, most, must)
    yield from _rotated(case)


def _rotated(case: _Case) -> Iterator[Timing]:
    rng = np.random.default_rng(1)
    a, b = _boxes(rng, case.boxes), _boxes(rng, case.boxes)
    yield time_beside(
        f"rotated IoU, {case.boxes:,} x {case.boxes:,} boxes",
        lambda: rotated_iou(a, b),
        Peer("shapely loop", lambda: _shapely_loop(a, b)),
        1,
    )
    images, each = case.scenes, case.detections
    said, true = made_scenes(images, each, 1, np.asarray)
    first = said[0][0], true[0][0]
    yield time_beside(
        f"rotated AP, {images} images with {each // 2:,} objects, {each:,} detections of a class",
        lambda: rotated_ap(said, true),
        Peer(f"shapely loop: IoU alone, of one image x {images}",
             lambda: _shapely_loop(*first), images),
        1,
        ROTATED_MUST,
    )  # fmt: skip
