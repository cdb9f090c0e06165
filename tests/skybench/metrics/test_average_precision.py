"""Average precision of ranked detections; see skybench.metrics.average_precision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from skybench.metrics.horizontal_boxes import coco_ap, voc_ap


def test_three_of_ten_is_less_than_a_recall_of_three_tenths() -> None:
    """As in mmdetection and VOC's own code: 0.1 * 3 is a little more."""
    at = np.arange(10)[:, None] * 20.0
    objects = np.concatenate([at, at * 0, at + 9, at * 0 + 9], 1)
    said = [(objects[:3], [0.9, 0.8, 0.7], [0, 0, 0])]
    assert voc_ap(said, [(objects, [0] * 10)])["map"] == pytest.approx(300 / 11)


def test_every_order_of_hits_gives_its_area() -> None:
    """With three hits among seven, and in the mean more than the precision of a random list."""
    found = []
    for hits in itertools.combinations(range(7), 3):
        shares = [(i + 1) / (rank + 1) for i, rank in enumerate(hits)]
        expected = 100 * np.mean([max(shares[i:]) for i in range(3)])
        found.append(voc_ap(*arranged(hits, 7), points=0)["map"])
        assert found[-1] == pytest.approx(expected)
    assert max(found) == found[0] == 100
    assert min(found) == found[-1] == pytest.approx(300 / 7)
    harmonic = sum(1 / n for n in range(1, 8))
    # Bestgen 2015, without the rise to the highest precision at later ranks.
    assert np.mean(found) > 100 / 7 * (2 / 6 * (7 - harmonic) + harmonic)


def arranged(hits: Sequence[int], count: int) -> tuple[Any, Any]:
    """As many objects as hits, and `count` detections of which those at these ranks are right."""
    at = np.arange(count)[:, None] * 20.0
    said = np.concatenate([at, at * 0, at + 9, at * 0 + 9], 1)
    scores = np.linspace(1, 0.1, count)
    return [(said, scores, [0] * count)], [(said[list(hits)], [0] * len(hits))]


def test_shuffled_scores_give_the_expected_order_statistics() -> None:
    """The only hit among n is at any rank r as often: 1/r each, H_n / n in the mean."""
    count = 12
    each = [arranged([rank], count) for rank in range(count)]
    expected = 100 / np.arange(1, count + 1)
    for points in (11, 0):
        assert [voc_ap(*one, points=points)["map"] for one in each] == pytest.approx(expected)
    assert [coco_ap(*one)["ap50"] for one in each] == pytest.approx(expected)
    rng = np.random.default_rng(0)
    (said, scores, labels), truth = each[0][0][0], each[0][1]
    drawn = [
        voc_ap([(said, rng.permutation(scores), labels)], truth, points=0)["map"]
        for _ in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(expected.mean(), abs=4 * expected.std() / 20)
