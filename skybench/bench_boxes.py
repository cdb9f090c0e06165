"""How fast box metrics are, beside what else computes them, in the same run."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.boxes.geometry import to_corners
from skybench.boxes.overlap import rotated_iou
from skybench.metrics.boxes import coco_ap
from skybench.metrics.rotated_boxes import rotated_ap

IMAGES, EACH, CLASSES = 2000, 60, 20  # of the COCO case: 120,000 detections
ROTATED = (1500, 20, 3000)  # boxes a side of the IoU; images and detections each of the AP
SIDE = 800.0


class Race(NamedTuple):
    """One computation, ours and another's."""

    what: str
    ours_s: float
    peer: str
    peer_s: float | None  # None: not installed
    ratio: float | None  # theirs over ours; above 1 ours is faster


def _boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Rotated boxes [count, 5] of 8 to 60 pixels."""
    centres, sides = rng.uniform(0, SIDE, (count, 2)), rng.uniform(8, 60, (count, 2))
    sides.sort(axis=1)
    angles = rng.uniform(-np.pi / 2, np.pi / 2, (count, 1))
    return np.concatenate([centres, sides[:, ::-1], angles], 1)


def _upright(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1)


def _scenes(images: int, each: int, shape: Callable[[Any], Any]) -> tuple[list[Any], list[Any]]:
    """Truth, and detections that are half of it moved a little, half elsewhere."""
    rng, truth, found = np.random.default_rng(0), [], []
    for _ in range(images):
        true, labels = _boxes(rng, each // 2), rng.integers(0, CLASSES, each // 2)
        near = true + rng.normal(0, 2, true.shape) * [1, 1, 0.5, 0.5, 0.02]
        near[:, 2:4] = near[:, 2:4].clip(2)
        said = np.concatenate([near, _boxes(rng, each - len(true))])
        names = np.concatenate([labels, rng.integers(0, CLASSES, each - len(true))])
        truth.append((shape(true), labels))
        found.append((shape(said), rng.random(each), names))
    return found, truth


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _pycocotools(found: list[Any], truth: list[Any], module: str) -> float | None:
    """The evaluation alone; the inputs are built before."""
    if importlib.util.find_spec(module) is None:
        return None
    package = importlib.import_module(module)
    home = package if hasattr(package, "COCO") else importlib.import_module(f"{module}.coco")
    images = [{"id": i, "width": int(SIDE), "height": int(SIDE)} for i in range(len(truth))]
    boxes: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []
    for i, ((true, labels), (near, scores, names)) in enumerate(zip(truth, found, strict=True)):
        for box, label in zip(_sized(true), labels.tolist(), strict=True):
            area = box[2] * box[3]
            boxes.append({"id": len(boxes) + 1, "image_id": i, "category_id": label, "bbox": box,
                          "area": area, "iscrowd": 0})  # fmt: skip
        for box, score, label in zip(_sized(near), scores.tolist(), names.tolist(), strict=True):
            said.append({"image_id": i, "category_id": label, "bbox": box, "score": score})
    true_set = home.COCO()
    categories = [{"id": c, "name": str(c)} for c in range(CLASSES)]
    true_set.dataset = {
        "info": {}, "images": images, "annotations": boxes, "categories": categories,
    }  # fmt: skip
    true_set.createIndex()
    kind = "COCOeval" if module == "pycocotools" else "COCOeval_faster"
    where = importlib.import_module(f"{module}.cocoeval") if module == "pycocotools" else package
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        race = getattr(where, kind)(true_set, true_set.loadRes(said), "bbox")
        return _seconds(lambda: (race.evaluate(), race.accumulate(), race.summarize()))


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


def boxes() -> list[Race]:
    """COCO's AP, rotated IoU and rotated AP, each beside the peers that are installed."""
    found, truth = _scenes(IMAGES, EACH, _upright)
    ours = min(_seconds(lambda: coco_ap(found, truth)) for _ in range(3))
    what = f"COCO AP, {IMAGES} images, {IMAGES * EACH} detections"
    races = []
    for module in ("pycocotools", "faster_coco_eval"):
        theirs = _pycocotools(found, truth, module)
        races.append(_race(what, ours, module, theirs))
    rng = np.random.default_rng(1)
    count, images, each = ROTATED
    a, b = _boxes(rng, count), _boxes(rng, count)
    ours = min(_seconds(lambda: rotated_iou(a, b)) for _ in range(3))
    loop = _seconds(lambda: _shapely_loop(a, b))
    races.append(_race(f"rotated IoU, {count} x {count} boxes", ours, "shapely loop", loop))
    found, truth = _scenes(images, each, np.asarray)
    ours = _seconds(lambda: rotated_ap(found, truth))
    rows = f"rotated AP, {images} images with {each // 2} objects and {each} detections"
    one = _seconds(lambda: _shapely_loop(found[0][0], truth[0][0]))
    races.append(
        _race(rows, ours, f"shapely loop, IoU alone, of one image x {images}", images * one)
    )
    return races


def _race(what: str, ours: float, peer: str, theirs: float | None) -> Race:
    if theirs is None:
        return Race(what, round(ours, 3), f"{peer} (not installed)", None, None)
    return Race(what, round(ours, 3), peer, round(theirs, 3), round(theirs / ours, 1))
