from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.boxes.geometry import from_horizontal, to_corners, to_rotated
from skybench.boxes.iou import rotated_iou
from skybench.checks import metric_self_test
from skybench.core import UsageError
from skybench.metrics import matching
from skybench.metrics.horizontal_boxes import CocoBoxes
from skybench.metrics.matching import find_pairs, gather_scene
from skybench.metrics.rotated_boxes import ROTATED, RotatedBoxes, rotated_ap

from ._rotated_cases import CASES, CLASSES, Case, cases, filled, loop, repeats, target


@CASES
@given(cases(), st.sampled_from([0.2, 0.5, 0.7]), st.sampled_from([11, 0]))
def test_it_equals_a_loop_over_shapely(case: Case, iou: float, points: int) -> None:
    found = rotated_ap(*case, iou, points)
    assert found.pop("doubles") == repeats(case)
    by_rule = {"map": loop(case, iou, points), "map_doubles": loop(case, iou, points, True)}
    assert found == pytest.approx(by_rule, nan_ok=True)
    as_corners = Case(
        [(to_corners(b), *rest) for b, *rest in case.said],
        [(to_corners(b), *rest) for b, *rest in case.true],
    )
    found |= {"doubles": repeats(case)}
    assert rotated_ap(*as_corners, iou, points) == pytest.approx(found, nan_ok=True)


@CASES
@given(
    cases(),
    st.sampled_from([0.01, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([1e-3, 1.0, 1e5]),
    st.sampled_from([0, 16]),
)
def test_no_pair_that_overlaps_enough_is_missed(
    case: Case, least: float, scale: float, few: int
) -> None:
    """Also beside a box that is a million times as large, and far from the origin."""
    factors = np.array([scale, scale, scale, scale, 1])
    for boxes in [b for b, *_ in case.said + case.true]:
        boxes *= factors
        boxes[:, 0] += 1000 * scale
        boxes[:1, 2:4] *= 10 ** (6 * (scale < 1))
    metric = filled(case, RotatedBoxes(CLASSES))
    scene = gather_scene(metric.said, metric.true)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "FEW", few)
        pairs = find_pairs(scene, ROTATED, least)
    assert (np.diff(pairs.detections) >= 0).all()
    iou = rotated_iou(ROTATED.form(scene.corners), ROTATED.form(scene.true_corners))
    iou[scene.groups[:, None] != scene.true_groups] = 0
    sure = {*zip(*np.nonzero(iou > least + 1e-9), strict=True)}
    found = {*zip(pairs.detections, pairs.objects, strict=True)}
    assert sure <= found <= {*zip(*np.nonzero(iou > least - 1e-9), strict=True)}


@CASES
@given(cases(turned=False), st.floats(-3, 3))
def test_a_scene_turned_as_a_whole_scores_as_its_horizontal_boxes(case: Case, angle: float) -> None:
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])

    def turned(boxes: np.ndarray) -> np.ndarray:
        return np.column_stack([boxes[:, :2] @ turn, boxes[:, 2:4], boxes[:, 4] + angle])

    found = filled(
        Case(
            [(turned(b), *rest) for b, *rest in case.said],
            [(turned(b), *rest) for b, *rest in case.true],
        ),
        RotatedBoxes(CLASSES),
    ).scores()
    assert list(found)[:5] == ["ap50_voc07", "ap50_voc12", "ap50", "ap", "ap75"]
    assert list(found)[5:] == ["ap50_voc07_doubles", "ap50_voc12_doubles"]
    assert found == pytest.approx(filled(case, CocoBoxes(CLASSES)).scores(), nan_ok=True)


@CASES
@given(cases())
def test_the_metric_gives_what_the_function_gives(case: Case) -> None:
    metric = filled(case, RotatedBoxes(CLASSES))
    found = metric.scores()
    for name, points in (("ap50_voc07", 11), ("ap50_voc12", 0)):
        plain = rotated_ap(*case, 0.5, points)
        own = {"map": found[name], "map_doubles": found[f"{name}_doubles"]}
        assert plain == pytest.approx(own | {"doubles": repeats(case)}, nan_ok=True)
    assert [note.split()[0] for note in metric.notes()] == [str(repeats(case))] * bool(
        repeats(case)
    )


@CASES
@given(cases(), st.booleans())
def test_the_truth_gives_the_best_score(case: Case, count_difficult: bool) -> None:
    targets = [("", target(*true)) for true in case.true]
    if any((~t.difficult | count_difficult).any() for _, t in targets):
        metric = RotatedBoxes(CLASSES, count_difficult)
        metric_self_test.check_metric(metric, targets)
        for _, true in targets:
            metric.update(metric.perfect(true), true)
        scores = metric.scores()
        milder = ("ap50", "ap", "ap75", "ap50_voc07_doubles", "ap50_voc12_doubles")
        assert [scores[name] for name in milder] == pytest.approx([100] * 5)
        assert (scores["ap50_voc12"] < 100) == bool(metric.notes())


def test_a_turn_by_a_quarter_and_a_shift_by_half_are_not_enough() -> None:
    boxes = np.array([[10, 10, 20, 4, 0.5], [50, 50, 20, 4, -1.2]])
    labels, scores = np.array([0, 1]), np.ones(2)
    truth = [(boxes, labels)]
    for change, expected in (
        ([0, 0, 0, 0, math.pi / 2], 0),
        ([10, 5, 0, 0, 0], 0),
        ([0.5, 0, 0, 0, math.pi], 100),
    ):
        said = [(boxes + np.array(change), scores, labels)]
        assert rotated_ap(said, truth)["map"] == expected


def test_a_quadrilateral_counts_as_the_smallest_rectangle_around_it() -> None:
    quadrilateral = np.array([[[0, 0], [20, 0], [20, 10], [14, 10.0]]])
    around = from_horizontal(np.array([[0, 0, 20, 10.0]]))
    assert to_rotated(quadrilateral)[0].tolist() == pytest.approx([10, 5, 20, 10, 0])
    said = [(around, [0.5], [0])]
    assert rotated_ap(said, [(quadrilateral, [0])], 0.999)["map"] == 100
    # Of the quadrilateral itself, the rectangle would be 65 % only.
    assert rotated_ap([(quadrilateral, [0.5], [0])], [(around, [0])], 0.999)["map"] == 100


@pytest.mark.parametrize("images", [1, 3])
def test_a_crowd_of_one_class_equals_a_loop_over_shapely(images: int) -> None:
    """So many that detections are not compared with all objects of their group."""
    rng, case = np.random.default_rng(0), Case([], [])
    for _ in range(images):
        boxes = np.column_stack([rng.uniform(0, 90, (40, 2)), rng.uniform(4, 25, (40, 3))])
        moved = np.repeat(boxes, 2, 0) + rng.normal(0, 1, (80, 5)) * [1, 1, 1, 1, 0.1]
        moved[:, 2:4] = moved[:, 2:4].clip(1)
        case.true.append((boxes, np.zeros(40, int), rng.random(40) < 0.2))
        case.said.append((moved, rng.random(80), np.zeros(80, int)))
    for points in (11, 0):
        assert rotated_ap(*case, 0.5, points)["map"] == pytest.approx(loop(case, 0.5, points))


def test_boxes_of_two_forms_are_refused() -> None:
    boxes = np.array([[5, 5, 9, 3, 0.4]])
    said = [(boxes, [1], [0]), (to_corners(boxes), [1], [0])]
    with pytest.raises(UsageError, match="one form in all images"):
        rotated_ap(said, [(boxes, [0])] * 2)


def test_more_than_a_hundred_objects_of_a_class_count() -> None:
    at = np.arange(150) * 30.0
    boxes = np.column_stack([at, at, np.full((150, 2), 9.0), at])
    case = Case(
        [(boxes, np.linspace(1, 0, 150), np.zeros(150, int))],
        [(boxes, np.zeros(150, int), np.zeros(150, bool))],
    )
    found = filled(case, RotatedBoxes(CLASSES)).scores()
    assert [*found.values()] == pytest.approx([100] * 7)
    assert filled(case, CocoBoxes(CLASSES)).scores()["ap50"] == pytest.approx(6700 / 101)


def test_resamples_and_fresh_metrics_keep_the_kind() -> None:
    box = np.array([[5, 5, 9, 3, 0.4]])
    hit = (box, np.array([0.5]), np.array([0]))
    other = np.array([[25, 5, 9, 3, 0.4]])
    case = Case([hit, hit], [(box, [0], [False]), (other, [0], [False])])
    metric = filled(case, RotatedBoxes(CLASSES))
    found = metric.scores(np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]]))
    assert found["ap50_voc12"].tolist() == [100, 50, 0]
    assert metric.per_class()["ship"]["ap50_voc12"] == 50
    assert isinstance(metric.fresh(), RotatedBoxes)
    assert metric.fresh().said == []


LINE = [[9, 36], [25, 20], [10, 35], [18, 27]]
TRIANGLE = [[0, 0], [10, 0], [4, 9], [4, 3]]  # three rectangles of one area


@pytest.mark.parametrize("quad", [LINE, TRIANGLE, [[5, 5], [5, 5], [5, 5], [5, 5]]])
def test_the_rectangle_found_in_a_tile_is_the_one_of_the_whole_image(quad: Any) -> None:
    corners = np.array([quad])
    for shift in ([0, 0], [1024, 512], [99_328, 3_000]):
        found = to_corners(to_rotated(corners)) + shift
        for said in (found, found.astype(np.float32)):
            assert rotated_ap([(said, [1.0], [0])], [(corners + shift, [0])])["map"] == 100


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[5, 5, 9, 3]], r"corners \[n, 4, 2\] or boxes \[n, 5\]"),
        ([[5, 5, 9, -3, 0.4]], "w and h at least 0"),
        ([[5, 5, 9, np.nan, 0.4]], "all finite"),
        ([5, 5, 9, 3, 0.4], "as many rows"),
    ],
)
def test_unfit_boxes_are_refused(boxes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rotated_ap([(boxes, [0.5], [0])], [([[5, 5, 9, 3, 0.4]], [0])])


def test_images_without_boxes() -> None:
    none: tuple[Any, ...] = (np.zeros((0, 5)), [], [])
    box = [[5, 5, 9, 3, 0.4]]
    assert rotated_ap([none, none], [(box, [0]), none[:2]])["map"] == 0
    assert rotated_ap([none, (box, [1], [0])], [none[:2], (box, [0])])["map"] == 100
    assert np.isnan(rotated_ap([(box, [1], [0])], [none[:2]])["map"])
