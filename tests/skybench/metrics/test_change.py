from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.checks import metric_self_test
from skybench.core import SkybenchError, UsageError
from skybench.metrics import change_f1
from skybench.metrics.change import Change, image_of

CASES = settings(max_examples=35, deadline=None, derandomize=True, database=None)


class Tile(NamedTuple):
    predicted: np.ndarray
    true: np.ndarray
    key: str


@st.composite
def tiles(draw: st.DrawFn, most: int = 8) -> list[Tile]:
    """Tiles of up to 3 images: with and without change, ignored pixels, or nothing but those."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = []
    for i in range(draw(st.integers(1, most))):
        share = rng.choice([0.0, 0.0, 0.3, 1.0], 2)
        predicted = (rng.random((2, 3)) < share[0]).astype(np.uint8)
        true = (rng.random((2, 3)) < share[1]).astype(np.uint8)
        true[rng.random((2, 3)) < rng.choice([0.0, 0.3, 1.0], p=[0.5, 0.4, 0.1])] = 255
        found.append(Tile(predicted, true, f"town_{rng.integers(3)}_{96 * i}_0"))
    return found


def filled(cases: list[Tile]) -> Change:
    metric = Change()
    for case in cases:
        metric.update(*case)
    return metric


def flat(cases: list[Tile]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that count: true, predicted."""
    predicted = np.concatenate([c.predicted.ravel() for c in cases])
    true = np.concatenate([c.true.ravel() for c in cases])
    return true[true != 255], predicted[true != 255]


def score(name: str, cases: list[Tile], undefined: float = np.nan) -> float:
    """Scikit-learn's score over these tiles, in percent."""
    t, p = flat(cases)
    function = getattr(sklearn.metrics, f"{name}_score")
    return 100 * float(function(t, p, zero_division=undefined)) if t.size else 100 * undefined


def mean(values: list[float]) -> float:
    """The mean of those that are defined."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def expect(cases: list[Tile]) -> dict[str, float]:
    """All scores by scikit-learn over the tiles that each is about."""
    t, p = flat(cases)
    scores = {name: score(name, cases) for name in ("f1", "precision", "recall")}
    union = ((t == 1) | (p == 1)).sum()
    scores["iou"] = 100 * ((t == 1) & (p == 1)).sum() / union if union else np.nan
    scores["oa"] = 100 * float((t == p).mean()) if t.size else np.nan
    names = sorted({c.key.rsplit("_", 2)[0] for c in cases})
    images = [[c for c in cases if c.key.startswith(f"{name}_")] for name in names]
    scores["f1_image"] = mean([score("f1", image) for image in images])
    scores["f1_tile"] = mean([score("f1", [case]) for case in cases])
    return scores


@CASES
@given(tiles())
def test_it_equals_scikit_learn(cases: list[Tile]) -> None:
    found = filled(cases).scores()
    assert next(iter(found)) == "f1"
    found.pop("f1_batch")
    expected = expect(cases)
    assert found == pytest.approx(expected, nan_ok=True)
    maps = [c.predicted for c in cases], [c.true for c in cases]
    if all((c.true == 255).all() for c in cases):
        with pytest.raises(ValueError, match="at least one pixel"):
            change_f1(*maps, ignore=255)
        return
    pooled = change_f1(*maps, ignore=255)
    assert list(pooled) == ["f1", "precision", "recall", "iou", "oa"]
    assert pooled == pytest.approx({name: expected[name] for name in pooled}, nan_ok=True)


@settings(CASES, max_examples=20)
@given(tiles(most=80))
def test_the_batched_score_is_the_mean_over_whole_groups_of_32(cases: list[Tile]) -> None:
    size = min(32, len(cases))
    groups = [cases[i : i + size] for i in range(0, len(cases) // size * size, size)]
    expected = np.mean([score("f1", group, undefined=0) for group in groups])
    assert filled(cases).scores()["f1_batch"] == pytest.approx(expected)


def test_a_group_without_any_change_counts_0_even_when_none_is_predicted() -> None:
    none, some = np.zeros((2, 2), int), np.ones((2, 2), int)
    right = [Tile(some, some, "a_0_0")] * 32
    assert filled(right).scores()["f1_batch"] == 100.0
    assert filled(right + [Tile(none, none, "a_0_0")] * 32).scores()["f1_batch"] == 50.0
    assert filled(right + [Tile(some, none, "a_0_0")] * 32).scores()["f1_batch"] == 50.0
    assert filled(right + [Tile(none, none, "a_0_0")] * 31).scores()["f1_batch"] == 100.0


@CASES
@given(tiles(), st.integers(0, 2**32 - 1))
def test_integer_weights_equal_repeated_tiles(cases: list[Tile], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(cases)))
    weights[:, 0] += 1  # something is always drawn
    found = filled(cases).scores(weights.astype(np.float64))
    assert "f1_batch" not in found
    for row, counts in enumerate(weights):
        repeated = [case for case, n in zip(cases, counts, strict=True) for _ in range(n)]
        expected = filled(repeated).scores()
        mine = {name: values[row] for name, values in found.items() if name != "f1_image"}
        assert mine == pytest.approx({name: expected[name] for name in mine}, nan_ok=True)


@CASES
@given(tiles(), st.integers(0, 2**32 - 1))
def test_an_image_that_is_drawn_twice_counts_twice(cases: list[Tile], seed: int) -> None:
    images = sorted({image_of(case.key) for case in cases})
    counts = dict(zip(images, np.random.default_rng(seed).integers(0, 3, len(images)), strict=True))
    counts[images[0]] += 1  # something is always drawn
    weights = np.array([[counts[image_of(case.key)] for case in cases]], np.float64)
    repeated = [
        case._replace(key=f"copy{copy}-{case.key}")
        for case in cases
        for copy in range(counts[image_of(case.key)])
    ]
    found = filled(cases).scores(weights)["f1_image"][0]
    assert found == pytest.approx(filled(repeated).scores()["f1_image"], nan_ok=True)


@CASES
@given(tiles())
def test_the_truth_gives_100_where_anything_changes(cases: list[Tile]) -> None:
    check = functools.partial(
        metric_self_test.check_metric, Change(), [(c.key, c.true) for c in cases]
    )
    if any((c.true == 1).any() for c in cases):
        check()
    else:
        with pytest.raises(SkybenchError, match="f1 = nan, expected 100"):
            check()


@CASES
@given(tiles())
def test_chance_is_the_best_constant_answer(cases: list[Tile]) -> None:
    if not flat(cases)[0].size:
        return
    constants = [
        filled([c._replace(predicted=np.full_like(c.predicted, v)) for c in cases]).scores()["f1"]
        for v in (0, 1)
    ]
    assert filled(cases).chance() == pytest.approx(np.nanmax([*constants, 0]))


def test_random_answers_are_near_chance() -> None:
    rng = np.random.default_rng(0)
    true = (rng.random((20, 32, 32)) < 0.1).astype(np.uint8)
    cases = [Tile(rng.integers(0, 2, t.shape), t, "a_0_0") for t in true]
    metric = filled(cases)
    assert metric.scores()["f1"] == pytest.approx(2 * 0.1 * 0.5 / 0.6 * 100, abs=1)
    assert metric.scores()["f1"] < metric.chance()


def test_tiles_of_one_image_are_counted_together() -> None:
    one, none = np.ones((1, 2), int), np.zeros((1, 2), int)
    cases = [Tile(one, one, "a_0_0"), Tile(one, none, "a_0_2"), Tile(one, one, "b_0_0"),
             Tile(none, none, "c_0_0")]  # fmt: skip
    scores = filled(cases).scores()
    assert scores["f1_image"] == pytest.approx((200 / 3 + 100) / 2)
    assert scores["f1_tile"] == pytest.approx((100 + 0 + 100) / 3)
    assert [image_of(c.key) for c in cases] == ["a", "a", "b", "c"]


def test_per_class_and_fresh() -> None:
    metric = Change(("kept", "built"))
    metric.update(np.array([[1, 0]]), np.array([[1, 1]]))
    assert list(metric.per_class()) == ["kept", "built"]
    assert metric.per_class()["built"]["f1"] == pytest.approx(200 / 3)
    other = metric.fresh()
    other.update(np.array([[1, 0]]), np.array([[1, 0]]), "a_0_0")
    assert other.scores()["f1"] == 100.0
    assert other.pixels.classes == ("kept", "built")


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([[0, 1]], [0, 1], "maps of one shape"),
        ([0, 2], [0, 1], r"predicted class ids in 0\.\.1"),
        ([0, 1], [0, 2], r"true class ids in 0\.\.1"),
        ([0.2, 0.9], [0, 1], "integer class ids"),
    ],
)
def test_unfit_masks_are_refused(predicted: Any, true: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        change_f1(predicted, true)
    with pytest.raises(UsageError, match=message):
        Change().update(np.array(predicted), np.array(true))


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="the classes without and with change"):
        Change(("a", "b", "c"))


def test_another_ignored_value_can_be_given() -> None:
    assert change_f1([0, 1, 1], [0, 1, 9], ignore=9)["f1"] == 100.0
