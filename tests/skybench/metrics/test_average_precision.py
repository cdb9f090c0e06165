"""Average precision of ranked detections; see skybench.metrics.average_precision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.metrics import average_precision, ranked_sums
from skybench.metrics._validation import horizontal_corners, scene_from_arrays
from skybench.metrics.average_precision import voc_curves
from skybench.metrics.horizontal_boxes import HORIZONTAL, CocoBoxes, coco_ap, voc_ap
from skybench.metrics.matching import TrueBoxes, find_pairs
from skybench.metrics.rotated_boxes import RotatedBoxes


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


@pytest.mark.parametrize("rotated", [False, True])
def test_many_whole_weights_are_scored_as_in_float64(rotated: bool) -> None:
    """Float32 sums of whole weights are exact: with halves of them nothing but digits changes."""
    rng = np.random.default_rng(3)
    metric: Any = (RotatedBoxes if rotated else CocoBoxes)(("a", "b"))
    for _ in range(30):
        corners = from_horizontal(np.cumsum(rng.uniform(0, 9, (9, 2, 2)), 1).reshape(9, 4))
        names, difficult = rng.integers(0, 2, 9), rng.random(9) < 0.2
        moved = corners + rng.normal(0, 0.3, (9, 1, 2))
        metric.update(Detections(moved, rng.random(9), names), TrueBoxes(corners, names, difficult))
    weights = rng.poisson(1, (90, 30)).astype(float)
    weights[5] = 0  # nothing is drawn
    weights[6, :15] = 0
    found, halves = metric.scores(weights), metric.scores(weights / 2)
    for name, values in found.items():
        np.testing.assert_allclose(values, halves[name], rtol=2e-6)
        assert np.isnan(values).tolist() == [i == 5 for i in range(90)]
        assert np.nanstd(values) > 0
    (main, *_), each = found, metric.main_score(weights)
    np.testing.assert_array_equal(each, found[main])
    assert metric.main_score() == metric.scores()[main]
    repeated = [i for i in range(30) for _ in range(int(weights[6, i]))]
    again = metric.fresh()
    again.said, again.true = ([x[i] for i in repeated] for x in (metric.said, metric.true))
    assert again.main_score() == pytest.approx(each[6], rel=2e-6)


def test_the_memory_of_a_class_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    said, truth = arranged(range(0, 300, 2), 300)
    scene = scene_from_arrays(said, truth, horizontal_corners, False)
    (ranked,) = voc_curves(scene, find_pairs(scene, HORIZONTAL, 0.5), 0.5).strict.values()
    weights = np.random.default_rng(0).poisson(1, (80, 1)).astype(float)
    whole = average_precision.box_average_precision(ranked, weights, (None,))
    monkeypatch.setattr(average_precision, "CELLS", 150 * 20)
    widths, original = [], ranked_sums.sums

    def seen(table: Any, *rest: Any) -> Any:
        widths.append(table.shape[1])
        return original(table, *rest)

    monkeypatch.setattr("skybench.metrics.average_precision.sums", seen)
    parts = average_precision.box_average_precision(ranked, weights, (None,))
    np.testing.assert_array_equal(whole, parts)
    assert max(widths) * 150 <= 150 * 20
