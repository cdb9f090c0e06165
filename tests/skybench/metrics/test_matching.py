"""Which detection finds which object; see skybench.metrics.matching."""

from __future__ import annotations

import numpy as np
import pytest

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.metrics.horizontal_boxes import HORIZONTAL, coco_ap, voc_ap
from skybench.metrics.matching import (
    TrueBoxes,
    find_pairs,
    gather_scene,
    rank_within_group,
)

from ._box_cases import HIT, boxes, scored


def test_voc_gives_a_detection_to_its_best_object_coco_to_the_best_free_one() -> None:
    truth = [(boxes((0, 0, 10, 10), (3, 0, 13, 10)), [0, 0])]
    said = [(boxes((0, 0, 10, 10), (1, 0, 11, 10)), [0.9, 0.8], [0, 0])]
    assert voc_ap(said, truth, points=0)["map"] == 50
    assert coco_ap(said, truth)["ap50"] == 100


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


def test_pairs_are_of_one_image_and_class_and_overlap_enough() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (200, 2))
    rows = np.concatenate([low, low + rng.uniform(5, 40, (200, 2))], 1)
    corners, labels = from_horizontal(rows), rng.integers(0, 2, 200)
    halves = (slice(0, 40), slice(100, 160)), (slice(40, 100), slice(160, 200))  # of two images
    said = [Detections(corners[a], rng.random(len(labels[a])), labels[a]) for a, _ in halves]
    none = np.zeros(60, bool)
    true = [TrueBoxes(corners[b], labels[b], none[: len(labels[b])]) for _, b in halves]
    scene = gather_scene(said, true)
    found = find_pairs(scene, HORIZONTAL, 0.3)
    expected = 0
    for a, b in zip(said, true, strict=True):
        for i, j in np.ndindex(len(a.labels), len(b.labels)):
            first, second = (
                np.concatenate([x.min(0), x.max(0)]) for x in (a.corners[i], b.corners[j])
            )
            iou = HORIZONTAL.iou(first[None], second[None])[0]
            expected += bool(iou >= 0.3 and a.labels[i] == b.labels[j])
    assert len(found.iou) == expected > 20
    assert np.array_equal(scene.labels[found.detections], scene.true_labels[found.objects])
    assert np.array_equal(scene.images[found.detections], scene.true_images[found.objects])


def test_no_element_stands_before_the_first() -> None:
    assert rank_within_group(np.zeros(0, int)).tolist() == []
    assert rank_within_group(np.array([4, 4, 1, 4, 1])).tolist() == [0, 1, 0, 2, 1]


def test_large_labels_are_grouped_as_small_ones() -> None:
    rng = np.random.default_rng(0)
    said, true = (
        [(from_horizontal(np.repeat(HIT, n, 0)), rng.integers(0, 4, n)) for n in (5, 0, 7)]
        for _ in range(2)
    )
    scores = [np.round(rng.random(len(labels)), 1) for _, labels in said]
    scenes = [
        gather_scene(
            [
                Detections(c, s, factor * labels)
                for (c, labels), s in zip(said, scores, strict=True)
            ],
            [TrueBoxes(c, factor * labels, labels == 1) for c, labels in true],
        )
        for factor in (1, 10**12)
    ]
    assert {*scenes[1].labels} <= {n * 10**12 for n in range(4)}
    for name in ("images", "groups", "true_images", "true_groups", "difficult"):
        one, other = (getattr(scene, name) for scene in scenes)
        np.testing.assert_array_equal(one, other)
