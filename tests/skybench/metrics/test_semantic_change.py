from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.checks import metric_self_test
from skybench.core import UsageError
from skybench.metrics import semantic_change
from skybench.metrics.semantic_change import SemanticChange

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)
CLASSES = ("impervious", "agriculture", "forest", "wetlands")
Series = list[tuple[np.ndarray, np.ndarray, str]]  # predicted, true [T, H, W], key


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Tiles of up to 3 cubes; classes may be absent, months ignored, nothing may change."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    months, classes = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    found = []
    for i in range(draw(st.integers(1, 5))):
        true = np.repeat(rng.integers(0, classes, (1, 2, 2)), months, 0).astype(np.uint8)
        moved = rng.random(true.shape) < rng.choice([0.0, 0.4])
        true[moved] = rng.integers(0, classes, moved.sum())
        wrong = rng.random(true.shape) < rng.choice([0.1, 0.5])
        predicted = np.where(wrong, rng.integers(0, 4, true.shape), true)
        true[rng.random(true.shape) < rng.choice([0.0, 0.2])] = 255
        found.append((predicted.astype(np.uint8), true, f"cube_{rng.integers(3)}_{512 * i}_0"))
    return found


def filled(cases: Series) -> SemanticChange:
    metric = SemanticChange(CLASSES)
    for case in cases:
        metric.update(*case)
    return metric


Pixels = list[tuple[int, int]]  # predicted, true


def iou(pixels: Sequence[tuple[int, int]], c: int) -> float:
    union = sum(p == c or t == c for p, t in pixels)
    return sum(p == c and t == c for p, t in pixels) / union if union else float("nan")


def average(values: Sequence[float], over: int) -> float:
    return sum(v for v in values if v == v) / over if over else float("nan")


def loop(cases: Series, bare: bool = False) -> dict[str, float]:
    """SCS, BC, SC and mIoU pixel by pixel and month by month; `bare` as SitsSCD's rules."""
    frames: Pixels = []
    changes: Pixels = []
    moved: Pixels = []
    for predicted, true, _ in cases:
        for y, x in np.ndindex(true.shape[1:]):
            p, t = predicted[:, y, x].tolist(), true[:, y, x].tolist()
            frames += [(a, b) for a, b in zip(p, t, strict=True) if b != 255]
            steps = zip(itertools.pairwise(p), itertools.pairwise(t), strict=True)
            for (p0, p1), (t0, t1) in steps:
                if bare and 255 in (t0, t1):
                    continue
                changes.append((int(p0 != p1), int(t0 != t1)))
                moved += [(p1, t1)] if t0 != t1 and t1 != 255 else []
    bc = iou(changes, 1)
    there = {t for _, t in moved}
    sc = average([iou(moved, c) for c in range(4)], (4 if moved else 0) if bare else len(there))
    seen = {c for pair in frames for c in pair}
    miou = average([iou(frames, c) for c in range(4)], len(seen))
    scores = {"SCS": (bc + sc) / 2, "BC": bc, "SC": sc, "mIoU": miou}
    return {name: 100 * value for name, value in scores.items()}


def expect(cases: Series) -> dict[str, float]:
    names = {key.rsplit("_", 2)[0] for _, _, key in cases}
    cubes = [loop([c for c in cases if c[2].startswith(f"{name}_")])["SCS"] for name in names]
    known = [scs for scs in cubes if scs == scs]
    cube = sum(known) / len(known) if known else float("nan")
    return loop(cases) | {"SCS_masked": loop(cases, bare=True)["SCS"], "SCS_cube": cube}


@CASES
@given(series())
def test_it_equals_a_plain_loop(cases: Series) -> None:
    found = filled(cases).scores()
    assert next(iter(found)) == "SCS"
    assert found == pytest.approx(expect(cases), nan_ok=True)
    pooled = semantic_change([p for p, _, _ in cases], [t for _, t, _ in cases], classes=4)
    assert list(pooled) == ["SCS", "BC", "SC", "mIoU"]
    assert pooled == pytest.approx(loop(cases), nan_ok=True)


@CASES
@given(series(), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_series(cases: Series, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(cases)))
    weights[:, 0] += 1  # something is always drawn
    found = filled(cases).scores(weights.astype(np.float64))
    for row, counts in enumerate(weights):
        repeated = [case for case, n in zip(cases, counts, strict=True) for _ in range(n)]
        expected = filled(repeated).scores()
        mine = {name: values[row] for name, values in found.items() if name != "SCS_cube"}
        assert mine == pytest.approx({name: expected[name] for name in mine}, nan_ok=True)


@CASES
@given(series())
def test_a_cube_that_is_drawn_twice_counts_twice(cases: Series) -> None:
    first = cases[0][2].rsplit("_", 2)[0]
    twice = [case for case in cases if case[2].startswith(first)]
    weights = np.array([[1.0 + case[2].startswith(first) for case in cases]])
    repeated = [*cases, *((p, t, f"copy-{key}") for p, t, key in twice)]
    found = filled(cases).scores(weights)["SCS_cube"][0]
    assert found == pytest.approx(filled(repeated).scores()["SCS_cube"], nan_ok=True)


@CASES
@given(series())
def test_the_perfect_answer_gives_100_where_anything_changes(cases: Series) -> None:
    metric = SemanticChange(CLASSES)
    best = [(metric.perfect(t), t, key) for _, t, key in cases]
    for predicted, true, _ in best:
        assert predicted[true != 255].tolist() == true[true != 255].tolist()
    scores = filled(best).scores()
    there = [t[1:][t[1:] != t[:-1]] for _, t, _ in best]
    if (np.concatenate(there) != 255).any():
        assert scores["SCS"] == scores["BC"] == scores["SC"] == scores["SCS_cube"] == 100.0
    else:
        assert np.isnan(scores["SCS"])


@CASES
@given(series())
def test_chance_is_the_best_of_the_answers_with_one_class(cases: Series) -> None:
    constants = [
        filled([(np.full_like(p, c), t, key) for p, t, key in cases]).scores()["SCS"]
        for c in range(4)
    ]
    assert filled(cases).chance() == pytest.approx(max(constants), nan_ok=True)


def test_without_ignored_months_the_truth_passes_the_self_test() -> None:
    rng = np.random.default_rng(0)
    targets = [(f"a_{i}_0", rng.integers(0, 4, (3, 4, 4)).astype(np.uint8)) for i in range(3)]
    metric_self_test.check_metric(SemanticChange(CLASSES), targets)


def test_a_switch_to_or_from_ignored_is_a_change_officially_and_none_when_masked() -> None:
    true = np.array([0, 255, 0, 1, 1]).reshape(-1, 1, 1)
    predicted = np.array([0, 0, 0, 1, 1]).reshape(-1, 1, 1)
    scores = filled([(predicted, true, "a_0_0")]).scores()
    assert scores["BC"] == pytest.approx(100 / 3)  # two of the three changes were not predicted
    assert scores["SC"] == 100.0
    # Class 1 is right where it came to be, and the other three classes count 0.
    assert scores["SCS_masked"] == pytest.approx((100 + 25) / 2)


def test_ignored_in_both_months_is_no_change() -> None:
    true = np.array([255, 255, 0, 1]).reshape(-1, 1, 1)
    predicted = np.array([2, 3, 0, 1]).reshape(-1, 1, 1)
    assert filled([(predicted, true, "")]).scores()["BC"] == pytest.approx(200 / 3)


def test_the_score_of_a_cube_pools_its_tiles_and_leaves_out_cubes_without_change() -> None:
    moves, still = np.array([0, 1]).reshape(2, 1, 1), np.array([1, 1]).reshape(2, 1, 1)
    cases = [(moves, moves, "a_0_0"), (moves, still, "a_0_512"), (moves, moves, "b_0_0")]
    cases.append((moves, still, "c_0_0"))
    scores = filled(cases).scores()
    assert scores["SCS_cube"] == pytest.approx(((50 + 100) / 2 + 100) / 2)
    assert scores["SCS"] == pytest.approx((100 * 2 / 4 + 100) / 2)


def test_where_nothing_changes_the_score_is_undefined() -> None:
    still = np.zeros((1, 2, 1, 1), int)
    found = semantic_change(still, still)
    assert np.isnan([found["SCS"], found["BC"], found["SC"]]).all()
    assert found["mIoU"] == 100.0
    assert semantic_change(np.arange(2).reshape(1, 2, 1, 1), still)["BC"] == 0.0


def test_random_answers_are_near_chance() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, (20, 3, 8, 8))
    cases = [(rng.integers(0, 4, t.shape), t, "a_0_0") for t in true]
    found = filled(cases).scores()
    assert found["BC"] == pytest.approx(100 * 9 / 15, abs=3)  # both change 3 times in 4
    assert found["SC"] == pytest.approx(100 / 7, abs=2)


def test_per_class_and_fresh() -> None:
    true = np.array([[0, 0], [0, 1]]).reshape(2, 1, 2)
    metric = filled([(true, true, "a_0_0")])
    found = metric.per_class()
    assert list(found) == ["impervious", "agriculture"]
    assert found["agriculture"] == {"iou": 100.0, "iou_changed": 100.0}
    assert np.isnan(found["impervious"]["iou_changed"])
    assert metric.fresh().counts == []


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.zeros((2, 2, 3, 3), int), np.zeros((2, 2, 3, 4), int), r"\[cubes, months, H, W\]"),
        (np.zeros((2, 3, 3), int), np.zeros((2, 3, 3), int), r"\[cubes, months, H, W\]"),
        (np.zeros((0, 2, 3, 3), int), np.zeros((0, 2, 3, 3), int), r"\[cubes, months, H, W\]"),
        (np.zeros((1, 1, 3, 3), int), np.zeros((1, 1, 3, 3), int), "at least two months"),
        (np.full((1, 2, 3, 3), 6), np.zeros((1, 2, 3, 3), int), r"predicted class ids in 0\.\.5"),
        (np.full((1, 2, 3, 3), 255), np.full((1, 2, 3, 3), 0), "predicted class ids"),
        (np.zeros((1, 2, 3, 3), int), np.full((1, 2, 3, 3), 6), r"true class ids in 0\.\.5"),
        (np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 3, 3), int), "integer class ids"),
    ],
)
def test_unfit_maps_are_refused(predicted: Any, true: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        semantic_change(predicted, true)


def test_a_single_map_is_refused_as_a_series() -> None:
    with pytest.raises(UsageError, match="two series of class maps"):
        SemanticChange(CLASSES).update(np.zeros((4, 4), int), np.zeros((4, 4), int))


def test_metrics_need_no_torch() -> None:
    code = "import sys, skybench.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
