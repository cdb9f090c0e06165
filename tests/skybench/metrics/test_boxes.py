from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench import guards
from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes, UsageError
from skybench.metrics import matching, precision
from skybench.metrics.boxes import CocoBoxes, coco_ap, horizontal_iou, voc_ap

CASES = settings(max_examples=60, deadline=None, derandomize=True, database=None)
CLASSES = ("field", "wood", "water", "town")

Arrays = tuple[np.ndarray, ...]
Row = tuple[float, ...]


class Case(NamedTuple):
    """For each image (boxes, scores, labels), and (boxes, labels, difficult)."""

    said: Sequence[Arrays]
    true: Sequence[Arrays]


def simulated(seed: int, images: int, crowd: int = 8, levels: int = 0, classes: int = 4) -> Case:
    """Objects and detections near them; scores have `levels` values, or all differ.

    RandomState, because its numbers never change: some are compared with stored scores.
    """
    rng = np.random.RandomState(seed)
    said, true = [], []
    for _ in range(images):
        count = rng.randint(0, crowd)
        at = rng.uniform(-10, 60, (count, 2))
        boxes = np.concatenate([at, at + rng.uniform(4, 30, (count, 2))], 1)
        labels = rng.randint(0, classes, count)
        true.append((boxes, labels, rng.uniform(size=count) < 0.2))
        some = rng.randint(0, max(count, 1), rng.randint(0, 3 * crowd) if count else 0)
        moved = boxes[some] + rng.normal(0, 1, (len(some), 4)) * rng.choice([0, 1.5, 6])
        moved = np.concatenate([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2])], 1)
        named = np.where(rng.uniform(size=len(some)) < 0.8, labels[some], 0)
        scores = rng.uniform(size=len(some))
        said.append((moved, np.round(scores * levels) / levels if levels else scores, named))
    return Case(said, true)


@st.composite
def cases(draw: st.DrawFn, levels: tuple[int, ...] = (0, 3)) -> Case:
    seed, images = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 6))
    return simulated(seed, images, draw(st.sampled_from([2, 8])), draw(st.sampled_from(levels)))


def of_class(case: Case, label: int, count_difficult: bool) -> Any:
    """For each image the boxes by falling score, their scores, the objects and which count."""
    for (boxes, scores, labels), (objects, names, difficult) in zip(*case, strict=True):
        order = np.argsort(-scores[labels == label], kind="stable")
        counts = ~difficult[names == label] | count_difficult
        yield (
            boxes[labels == label][order],
            scores[labels == label][order],
            objects[names == label],
            counts,
        )


def area_or_mean(hits: list[tuple[float, bool]], objects: int, points: int) -> float:
    """AP of detections (score, right) in order of images, by the definition."""
    ordered = sorted(hits, key=lambda hit: -hit[0])
    right = np.cumsum([hit for _, hit in ordered])
    share = right / np.arange(1, len(right) + 1)
    recall = right / objects
    if points:
        at = np.linspace(0, 1, 101) if points == 101 else np.arange(0, 1.001, 0.1)
        return float(np.mean([max(share[recall >= r], default=0) for r in at]))
    steps = np.diff(recall, prepend=0)
    return float(sum(step * max(share[i:]) for i, step in enumerate(steps) if step))


def loop(case: Case, rule: str, iou: float, points: int, count_difficult: bool) -> float:
    """The mean AP in percent at one IoU, detection by detection."""
    each = []
    for label in range(4):
        hits: list[tuple[float, bool]] = []
        objects = 0
        for boxes, scores, true, counts in of_class(case, label, count_difficult):
            objects += counts.sum()
            taken = np.zeros(len(true), bool)
            for box, score in zip(boxes[:100] if rule == "coco" else boxes, scores, strict=False):
                overlaps = horizontal_iou(np.repeat(box[None], len(true), 0), true)
                if rule == "coco":
                    free = (overlaps >= iou) & counts & ~taken
                    fits = free if free.any() else (overlaps >= iou) & ~counts
                    best = np.where(fits, overlaps, -1)
                    found = len(best) - 1 - int(best[::-1].argmax()) if fits.any() else None
                else:
                    preferred = overlaps + 1e-12 * counts
                    ok = len(true) and overlaps[preferred.argmax()] >= iou
                    found = int(preferred.argmax()) if ok else None
                if found is None:
                    hits.append((score, False))
                elif counts[found]:
                    hits.append((score, not taken[found]))
                    taken[found] = True
        if objects:
            each.append(area_or_mean(hits, objects, points))
    return float(np.mean(each) * 100) if each else float("nan")


def filled(case: Case, metric: CocoBoxes | None = None) -> CocoBoxes:
    found = metric or CocoBoxes(CLASSES)
    for (boxes, scores, labels), (objects, names, difficult) in zip(*case, strict=True):
        target = Boxes(
            torch.from_numpy(from_horizontal(objects)),
            torch.from_numpy(names),
            torch.from_numpy(difficult),
        )
        found.update(Detections(from_horizontal(boxes), scores, labels), target, "key")
    return found


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
    iou = precision.COCO_IOUS[level]
    expected = loop(case, "coco", iou, 101, count_difficult)
    scene = filled(case, CocoBoxes(CLASSES, count_difficult))
    curves = precision.coco_curves(*judged(scene), 100)
    each = [
        precision.average_precision(c, np.ones((1, len(case.true))), (precision.COCO_RECALLS,))
        for c in curves.values()
    ]
    found = np.mean([ap[0, level] for (ap,) in each]) * 100 if each else np.nan
    assert found == pytest.approx(expected, nan_ok=True)


def judged(metric: CocoBoxes) -> tuple[matching.Scene, matching.Pairs]:
    scene = matching.gather(metric.said, metric.true)
    return scene, matching.find_pairs(scene, metric.shape, 0.5)


@CASES
@given(cases(), st.sampled_from([0.1, 0.5, 0.75, 1.0]), st.sampled_from([11, 0]), st.booleans())
def test_voc_equals_a_loop(case: Case, iou: float, points: int, count_difficult: bool) -> None:
    found = voc_ap(*case, iou, points, count_difficult)
    expected = loop(case, "voc", iou, points, count_difficult)
    assert found == {"map": pytest.approx(expected, nan_ok=True)}


@CASES
@given(cases(), st.booleans())
def test_the_metric_gives_what_the_functions_give(case: Case, count_difficult: bool) -> None:
    metric = filled(case, CocoBoxes(CLASSES, count_difficult))
    expected = coco_ap(*case, count_difficult) | {
        "ap50_voc07": voc_ap(*case, 0.5, 11, count_difficult)["map"],
        "ap50_voc12": voc_ap(*case, 0.5, 0, count_difficult)["map"],
    }
    assert metric.scores() == pytest.approx(expected, nan_ok=True)
    assert list(metric.scores()) == ["ap50", "ap", "ap75", "ap50_voc07", "ap50_voc12"]
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
    for module, name in ((matching, "BLOCK"), (matching, "FORMS"), (precision, "CELLS")):
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
            assert {*metric.scores().values()} == {100.0}
            guards.check_metric(metric, [("", t) for t in targets])


def boxes(*rows: Row) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


NONE: tuple[Any, ...] = (np.zeros((0, 4)), [], [])
HIT = boxes((0, 0, 10, 10))


def scored(said: Sequence[Row], true: Sequence[Row], **given: Any) -> float:
    """AP50 of one image of one class; said: (x0, y0, x1, y1, score)."""
    found = np.array(said, np.float64).reshape(-1, 5)
    none = np.zeros(len(found), int)
    return coco_ap(
        [(found[:, :4], found[:, 4], none)], [(boxes(*true), np.zeros(len(true), int))], **given
    )["ap50"]


def test_a_shift_by_half_a_box_is_not_enough() -> None:
    case = simulated(0, 20)
    shifted = [
        (b + (b[:, [2, 3, 2, 3]] - b[:, [0, 1, 0, 1]]) * [0.5, 0, 0.5, 0], np.ones(len(b)), names)
        for b, names, _ in case.true
    ]
    assert coco_ap(shifted, case.true)["ap50"] < 5
    slightly = [(b + 0.1, np.ones(len(b)), names) for b, names, _ in case.true]
    found = coco_ap(slightly, case.true)
    assert found["ap50"] > 95
    assert found["ap"] < 100


def test_an_object_annotated_twice_is_found_by_two() -> None:
    one = (0.0, 0.0, 10.0, 10.0)
    truth = [(boxes(one, one, (20, 0, 30, 9)), [0, 0, 0])]
    for number, best in ((1, 200 / 3), (2, 100.0), (3, 100.0)):
        said = [
            (boxes(*[one] * number, (20, 0, 30, 9)), [0.5] * number + [0.9], [0] * (number + 1))
        ]
        assert voc_ap(said, truth, points=0)["map"] == pytest.approx(best)
        assert coco_ap(said, truth)["ap50"] == pytest.approx(best, abs=1)


def test_voc_gives_a_detection_to_its_best_object_coco_to_the_best_free_one() -> None:
    truth = [(boxes((0, 0, 10, 10), (3, 0, 13, 10)), [0, 0])]
    said = [(boxes((0, 0, 10, 10), (1, 0, 11, 10)), [0.9, 0.8], [0, 0])]
    assert voc_ap(said, truth, points=0)["map"] == 50
    assert coco_ap(said, truth)["ap50"] == 100


def test_what_finds_a_difficult_object_is_neither_right_nor_wrong() -> None:
    truth = [(boxes((0, 0, 10, 10), (50, 0, 60, 10)), [0, 0], [True, False])]
    hit, near = (50, 0, 60, 10), (0, 0, 10, 9)
    said = [(boxes((0, 0, 10, 10), near, hit), [0.9, 0.8, 0.7], [0, 0, 0])]
    # At 0.95 `near` finds nothing.
    assert coco_ap(said, truth) == {"ap50": 100, "ap": 95, "ap75": 100}
    assert voc_ap(said, truth) == {"map": 100}
    # Counted, the second detection is a false alarm between two hits.
    assert voc_ap(said, truth, points=0, count_difficult=True)["map"] == pytest.approx(250 / 3)


def test_coco_prefers_an_object_that_counts_voc_the_nearest() -> None:
    near, other, miss = (0, 0, 10, 6), (60, 0, 70, 10), (30, 0, 40, 10)
    truth = [(boxes((0, 0, 10, 10), near, other), [0, 0, 0], [True, False, False])]
    said = [(boxes(miss, (0, 0, 10, 10), other), [0.9, 0.8, 0.7], [0, 0, 0])]
    assert coco_ap(said, truth)["ap50"] == pytest.approx(200 / 3)  # wrong, right, right
    assert voc_ap(said, truth, points=0)["map"] == 25  # wrong, ignored, right; one is missed
    alike = [(np.repeat(HIT, 2, 0), [0, 0], [True, False])]
    assert voc_ap([(HIT, [0.5], [0])], alike)["map"] == 100  # of equals too


def test_of_objects_that_overlap_equally_coco_takes_the_later_one() -> None:
    upper, lower = (0.0, 0.0, 10.0, 10.0), (0.0, 10.0, 10.0, 20.0)
    said = [(0.0, 0.0, 10.0, 20.0, 0.9), (*upper, 0.8)]
    assert scored(said, [upper, lower]) == 100
    assert scored(said, [lower, upper]) == pytest.approx(5100 / 101)


def test_three_of_ten_is_less_than_a_recall_of_three_tenths() -> None:
    """As in mmdetection and VOC's own code: 0.1 * 3 is a little more."""
    at = np.arange(10)[:, None] * 20.0
    objects = np.concatenate([at, at * 0, at + 9, at * 0 + 9], 1)
    said = [(objects[:3], [0.9, 0.8, 0.7], [0, 0, 0])]
    assert voc_ap(said, [(objects, [0] * 10)])["map"] == pytest.approx(300 / 11)


def test_the_truth_gives_100_among_difficult_objects() -> None:
    """Were the first, difficult one said too, it would take its neighbour's object, and so on."""
    rows = boxes((0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10), (40, 0, 50, 10))
    truth = Boxes(
        torch.from_numpy(from_horizontal(rows)),
        torch.zeros(4, dtype=torch.int64),
        torch.tensor([True, False, False, False]),
    )
    guards.check_metric(CocoBoxes(CLASSES), [("", truth)])


def test_scores_rank_and_equal_ones_keep_their_order() -> None:
    hit, miss = (0.0, 0.0, 10.0, 10.0), (30.0, 0.0, 40.0, 10.0)
    true = [hit]
    assert scored([(*miss, 0.1), (*hit, 0.2)], true) == 100
    assert scored([(*miss, 0.3), (*hit, 0.2)], true) == 50
    assert scored([(*hit, 0.2), (*miss, 0.2)], true) == 100
    assert scored([(*miss, 0.2), (*hit, 0.2)], true) == 50
    assert scored([(*miss, -np.inf), (*hit, np.inf)], true) == 100
    first, second = ([(boxes(hit), [0.2], [0]), (boxes(miss), [0.2], [0])] for _ in range(2))
    truth = [(boxes(hit), [0]), NONE[:2]]
    assert coco_ap(first, truth)["ap50"] == 100
    assert coco_ap(second[::-1], truth[::-1])["ap50"] == 50  # in the order of the images


def test_only_the_hundred_best_of_a_class_count() -> None:
    hit = (0.0, 0.0, 10.0, 10.0)
    misses = [(30.0, 0.0, 40.0, 10.0, 0.5)] * 100
    assert scored([*misses, (*hit, 0.4)], [hit]) == 0
    assert scored([*misses[1:], (*hit, 0.4)], [hit]) == pytest.approx(1)
    assert scored([*misses, (*hit, 0.4)], [hit], most=None) == pytest.approx(100 / 101)
    assert scored([*misses, (*hit, 0.4)], [hit], most=1) == 0


def test_boxes_without_area_and_outside_the_image() -> None:
    point, line = (5.0, 5.0, 5.0, 5.0), (0.0, 0.0, 9.0, 0.0)
    assert scored([(*point, 0.9), (*line, 0.9)], [point, line]) == 0
    outside = (-20.0, -20.0, -10.0, 1e4)
    assert scored([(*outside, 0.9), (*line, 0.8)], [outside]) == 100


def test_images_without_objects_or_detections() -> None:
    hit = HIT
    said, true = [NONE, (hit, [0.5], [0]), NONE], [NONE[:2], (hit, [0]), (hit, [0])]
    assert coco_ap(said, true)["ap50"] == pytest.approx(5100 / 101)
    assert voc_ap(said, true, points=0)["map"] == 50
    # Nothing said at all, nothing true at all, and neither.
    assert coco_ap([NONE], [(hit, [0])]) == {"ap50": 0, "ap": 0, "ap75": 0}
    assert voc_ap([NONE], [(hit, [0])])["map"] == 0
    for empty in ([(hit, [0.5], [0])], [NONE]):
        assert np.isnan([*coco_ap(empty, [NONE[:2]]).values()]).all()
        assert np.isnan(voc_ap(empty, [NONE[:2]])["map"])
    assert np.isnan(voc_ap([(hit, [0.5], [0])], [(hit, [0], [True])])["map"])


def test_classes_without_objects_do_not_count() -> None:
    hit = boxes((0, 0, 10, 10))
    assert coco_ap([(np.repeat(hit, 2, 0), [0.5, 0.6], [1, 3])], [(hit, [3])])["ap50"] == 100


def test_a_resample_without_an_object_is_undefined() -> None:
    hit = boxes((0, 0, 10, 10))
    case = Case(
        [(hit, np.array([0.5]), np.array([1]))] * 2,
        [(hit, np.array([1]), np.zeros(1, bool)), (hit[:0], np.zeros(0, int), np.zeros(0, bool))],
    )
    found = filled(case).scores(np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]]))
    assert [*np.isnan(found["ap50"])] == [True, False, False]
    assert [*found["ap"][1:]] == [100, 100]


def test_an_update_after_scores_counts_and_fresh_is_empty() -> None:
    case = simulated(0, 3)
    metric = filled(case)
    before = metric.scores()
    filled(simulated(1, 3), metric)
    both = Case(*([*a, *b] for a, b in zip(case, simulated(1, 3), strict=True)))
    assert metric.scores() == pytest.approx(filled(both).scores()) != before
    other = CocoBoxes(CLASSES, True).fresh()
    assert (other.said, other.classes, other.count_difficult) == ([], CLASSES, True)
    assert metric.chance() == 0


def test_random_boxes_score_next_to_nothing() -> None:
    case = simulated(0, 60)
    rng = np.random.default_rng(0)
    said = []
    for _ in case.true:
        at = rng.uniform(0, 60, (20, 2))
        said.append(
            (
                np.concatenate([at, at + rng.uniform(4, 30, (20, 2))], 1),
                rng.random(20),
                rng.integers(0, 4, 20),
            )
        )
    assert coco_ap(said, case.true)["ap50"] < 3


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        ([], [], "at least one, but got 0 and 0"),
        ([(HIT, [0.5], [0])], [], "of the same images"),
        ([(HIT, [0.5])], [(HIT, [0])], "but got 2 and 2 arrays"),
        ([(HIT, [0.5], [0])], [(HIT,)], "but got 3 and 1 arrays"),
        ([(HIT, [np.nan], [0])], [(HIT, [0])], "1 of them NaN"),
        ([(HIT, [0.5, 0.6], [0])], [(HIT, [0])], r"scores of shape \(2,\)"),
        ([(HIT, [0.5], [0, 1])], [(HIT, [0])], r"shapes \(1, 4, 2\) and \(2,\)"),
        ([(HIT * np.nan, [0.5], [0])], [(HIT, [0])], "8 numbers of them not finite"),
        ([(HIT, [0.5], [0])], [(HIT * [1, 1, np.inf, 1], [0])], "not finite"),
        ([(HIT[:, ::-1], [0.5], [0])], [(HIT, [0])], "x0 <= x1"),
        ([(HIT[0], [0.5], [0])], [(HIT, [0])], r"boxes \[n, 4\]"),
        ([(HIT, [0.5], [0.0])], [(HIT, [0])], "labels that are integers"),
        ([(HIT, [0.5], [0])], [(HIT, [-1])], "but got -1..-1"),
        ([(HIT, [0.5], [0])], [(HIT, [0], [False, True])], "whether it is difficult"),
    ],
)
def test_unfit_input_is_refused(said: Any, true: Any, message: str) -> None:
    for function in (coco_ap, voc_ap):
        with pytest.raises(UsageError, match=message):
            function(said, true)


def test_an_unknown_class_is_refused() -> None:
    corners, one = from_horizontal(HIT), np.ones(1)
    target = Boxes(torch.from_numpy(corners), torch.tensor([3]), torch.tensor([False]))
    metric = CocoBoxes(CLASSES)
    with pytest.raises(UsageError, match=r"from 0 to 3, but got 4\.\.4"):
        metric.update(Detections(corners, one, np.array([4])), target)
    with pytest.raises(UsageError, match=r"from 0 to 2, but got 3\.\.3"):
        CocoBoxes(CLASSES[:3]).update(Detections(corners, one, np.array([0])), target)


@pytest.mark.parametrize(("iou", "points"), [(0, 11), (1.5, 11), (0.5, 101), (np.nan, 0)])
def test_an_impossible_rule_is_refused(iou: float, points: int) -> None:
    with pytest.raises(UsageError, match="11 or 0 points"):
        voc_ap([(HIT, [0.5], [0])], [(HIT, [0])], iou, points)
