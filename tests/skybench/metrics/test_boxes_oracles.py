"""Box metrics beside pycocotools, and beside loops over the definitions."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skybench.boxes.geometry import from_horizontal
from skybench.checks import metric_self_test
from skybench.core import Boxes
from skybench.metrics import average_precision, matching
from skybench.metrics.horizontal_boxes import CocoBoxes, coco_ap, voc_ap

from ._box_cases import CASES, CLASSES, Case, cases, filled, loop, simulated


def by_pycocotools(case: Case) -> list[float]:
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, ((boxes, scores, labels), (objects, names, _)) in enumerate(
        zip(*case, strict=True), 1
    ):
        for (x, y, x1, y1), label in zip(objects.tolist(), names.tolist(), strict=True):
            fields = {"image_id": image, "category_id": label, "bbox": [x, y, x1 - x, y1 - y]}
            fields |= {"iscrowd": 0, "area": (x1 - x) * (y1 - y), "id": len(annotations) + 1}
            annotations.append(fields)
        for (x, y, x1, y1), s, label in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), strict=True
        ):
            fields = {"image_id": image, "category_id": label, "bbox": [x, y, x1 - x, y1 - y]}
            results.append(fields | {"score": s})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i + 1} for i in range(len(case.true))],
            "categories": [{"id": i} for i in range(4)],
            "annotations": annotations,
        }
        truth.createIndex()
        scorer = evaluation.COCOeval(truth, truth.loadRes(results), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    return [100 * float(scorer.stats[i]) for i in (1, 0, 2)]


# Of pycocotools 2.0.11: AP50, AP, AP75 of simulated(*arguments).
STORED: dict[tuple[int, ...], list[float]] = {
    (0, 30): [16.34474602197893, 8.745152099306276, 7.689581340675441],
    (1, 30, 8, 5): [34.4369000092712, 20.51065242571074, 19.606091268430827],
    # More than 100 detections of a class in an image.
    (2, 2, 150, 0, 1): [28.353555887684845, 22.148594789586358, 21.40577991995956],
    (3, 40, 3, 2, 3): [33.92467319076229, 16.078663140246007, 9.16390359966229],
}


@pytest.mark.parametrize("arguments", STORED)
def test_it_equals_pycocotools(arguments: tuple[int, ...]) -> None:
    case = simulated(*arguments)
    found = coco_ap(case.said, case.true, count_difficult=True)
    assert list(found) == ["ap50", "ap", "ap75"]
    assert [*found.values()] == pytest.approx(STORED[arguments], abs=1e-6)


def test_it_equals_an_installed_pycocotools() -> None:
    for arguments in [*STORED, *((seed, 5, 20, seed % 3) for seed in range(4, 12))]:
        case = simulated(*arguments)
        found = coco_ap(case.said, case.true, count_difficult=True)
        assert [*found.values()] == pytest.approx(by_pycocotools(case), abs=1e-9)


@CASES
@given(cases(), st.sampled_from([0, 1, 5, 9]), st.booleans())
def test_coco_equals_a_loop(case: Case, level: int, count_difficult: bool) -> None:
    iou = average_precision.COCO_IOUS[level]
    expected = loop(case, "coco", iou, 101, count_difficult)
    scene = filled(case, CocoBoxes(CLASSES, count_difficult))
    curves = average_precision.coco_curves(*judged(scene), 100)
    each = [
        average_precision.box_average_precision(
            c, np.ones((1, len(case.true))), (average_precision.COCO_RECALLS,)
        )
        for c in curves.values()
    ]
    found = np.mean([ap[0, level] for (ap,) in each]) * 100 if each else np.nan
    assert found == pytest.approx(expected, nan_ok=True)


def judged(metric: CocoBoxes) -> tuple[matching.Scene, matching.Pairs]:
    scene = matching.gather_scene(metric.said, metric.true)
    return scene, matching.find_pairs(scene, metric.shape, 0.5)


@CASES
@given(cases(), st.sampled_from([0.1, 0.5, 0.75, 1.0]), st.sampled_from([11, 0]), st.booleans())
def test_voc_equals_a_loop(case: Case, iou: float, points: int, count_difficult: bool) -> None:
    found = voc_ap(*case, iou, points, count_difficult)["map"]
    expected = loop(case, "voc", iou, points, count_difficult)
    assert found == pytest.approx(expected, nan_ok=True)


@CASES
@given(cases(), st.booleans())
def test_the_metric_gives_what_the_functions_give(case: Case, count_difficult: bool) -> None:
    metric = filled(case, CocoBoxes(CLASSES, count_difficult))
    expected = coco_ap(*case, count_difficult)
    for name, points in (("ap50_voc07", 11), ("ap50_voc12", 0)):
        plain = voc_ap(*case, 0.5, points, count_difficult)
        expected |= {name: plain["map"], f"{name}_doubles": plain["map_doubles"]}
        assert bool(metric.notes()) == (plain["doubles"] > 0)
    assert metric.scores() == pytest.approx(expected, nan_ok=True)
    assert list(metric.scores())[:3] == ["ap50", "ap", "ap75"]
    each = metric.per_class()
    counted = {
        CLASSES[c] for _, names, difficult in case.true for c in names[~difficult | count_difficult]
    }
    assert each.keys() == counted
    for name in expected if each else ():
        assert np.mean([e[name] for e in each.values()]) == pytest.approx(expected[name])


@CASES
@given(cases(levels=(0,)), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_images(case: Case, seed: int) -> None:
    """With all scores different: of an image drawn twice, equal ones would rank otherwise."""
    weights = np.random.default_rng(seed).integers(0, 3, (3, len(case.true)))
    weights[:, 0] += 1
    found = filled(case).scores(weights.astype(np.float64))
    for row, counts in enumerate(weights):
        repeated = Case(
            *([x for x, n in zip(p, counts, strict=True) for _ in range(n)] for p in case)
        )
        expected = filled(repeated).scores()
        assert {n: v[row] for n, v in found.items()} == pytest.approx(expected, nan_ok=True)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    case = simulated(5, 20)
    weights = np.random.default_rng(0).integers(0, 3, (40, 20)).astype(np.float64)
    expected = filled(case).scores(weights)
    for few in (0, 16):
        monkeypatch.setattr(matching, "FEW", few)
        for module, name in (
            (matching, "BLOCK"),
            (matching, "FORMS"),
            (average_precision, "CELLS"),
        ):
            monkeypatch.setattr(module, name, 50)
        found = filled(case).scores(weights)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values)


@CASES
@given(cases())
def test_the_truth_gives_100(case: Case) -> None:
    counts = any((~difficult).any() for _, _, difficult in case.true)
    targets = [
        Boxes(torch.from_numpy(from_horizontal(b)), torch.from_numpy(c), torch.from_numpy(d))
        for b, c, d in case.true
    ]
    for count_difficult in (False, True):
        metric = CocoBoxes(CLASSES, count_difficult)
        for target in targets:
            metric.update(metric.perfect(target), target)
        if counts:
            strict = {"ap50_voc07", "ap50_voc12"} if metric.notes() else set()
            scores = metric.scores()
            assert {name for name in scores if scores[name] < 100} <= strict
            assert {scores[name] for name in scores.keys() - strict} == {100.0}
            metric_self_test.check_metric(metric, [("", t) for t in targets])
