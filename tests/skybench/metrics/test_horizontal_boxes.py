from __future__ import annotations

import numpy as np
import pytest
import torch

from skybench.boxes.geometry import from_horizontal
from skybench.checks import metric_self_test
from skybench.core import Boxes, UsageError
from skybench.metrics.horizontal_boxes import CocoBoxes, coco_ap, voc_ap

from ._box_cases import CLASSES, HIT, NONE, Case, boxes, filled, scored, simulated


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


def test_an_object_annotated_twice_is_found_once_in_voc_and_by_two_in_coco() -> None:
    one = (0.0, 0.0, 10.0, 10.0)
    truth = [(boxes(one, one, (20, 0, 30, 9)), [0, 0, 0])]
    for number, best in ((1, 200 / 3), (2, 100.0), (3, 100.0)):
        said = [
            (boxes(*[one] * number, (20, 0, 30, 9)), [0.5] * number + [0.9], [0] * (number + 1))
        ]
        found = voc_ap(said, truth, points=0)
        assert found == pytest.approx({"map": 200 / 3, "map_doubles": best, "doubles": 1})
        assert coco_ap(said, truth)["ap50"] == pytest.approx(best, abs=1)


def test_what_finds_a_difficult_object_is_neither_right_nor_wrong() -> None:
    truth = [(boxes((0, 0, 10, 10), (50, 0, 60, 10)), [0, 0], [True, False])]
    hit, near = (50, 0, 60, 10), (0, 0, 10, 9)
    said = [(boxes((0, 0, 10, 10), near, hit), [0.9, 0.8, 0.7], [0, 0, 0])]
    # At 0.95 `near` finds nothing.
    assert coco_ap(said, truth) == {"ap50": 100, "ap": 95, "ap75": 100}
    assert voc_ap(said, truth)["map"] == 100
    # Counted, the second detection is a false alarm between two hits.
    assert voc_ap(said, truth, points=0, count_difficult=True)["map"] == pytest.approx(250 / 3)


def test_the_truth_gives_100_among_difficult_objects() -> None:
    """Were the first, difficult one said too, it would take its neighbour's object, and so on."""
    rows = boxes((0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10), (40, 0, 50, 10))
    truth = Boxes(
        torch.from_numpy(from_horizontal(rows)),
        torch.zeros(4, dtype=torch.int64),
        torch.tensor([True, False, False, False]),
    )
    metric_self_test.check_metric(CocoBoxes(CLASSES), [("", truth)])


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


def test_nothing_is_found_in_another_image() -> None:
    """Though it is crowded, and boxes are as wide as the image."""
    at = 500 + 20 * np.arange(20.0)[:, None]
    crowd = np.concatenate([at * 0, at, at * 0 + 300, at + 9], 1)
    truth = [(boxes((40, 0, 300, 10)), [0]), (crowd, [0] * 20), (boxes((0, 0, 299, 10)), [0])]
    said = [NONE, (boxes((0, 0, 300, 10)), [0.9], [0]), NONE]
    assert coco_ap(said, truth)["ap50"] == voc_ap(said, truth, 0.05)["map"] == 0


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


@pytest.mark.parametrize(("iou", "points"), [(0, 11), (1.5, 11), (0.5, 101), (np.nan, 0)])
def test_an_impossible_rule_is_refused(iou: float, points: int) -> None:
    with pytest.raises(UsageError, match="11 or 0 points"):
        voc_ap([(HIT, [0.5], [0])], [(HIT, [0])], iou, points)
