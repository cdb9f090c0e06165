"""Paired differences of resampled scores: what is kept, and whether p and intervals are right."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from skybench.analysis import bootstrap, paired_tests
from skybench.analysis.paired_tests import Replicates
from skybench.core import DataError, Record
from skybench.records import predictions

Made = Callable[..., Record]
RNG = np.random.default_rng(0)


def of(values: np.ndarray, weights: np.ndarray) -> Replicates:
    """The mean of one value an image [N] under weights [B, N]."""
    images = len(values)
    drawn = (weights @ values / images).tolist()
    return Replicates("", "miou", float(values.mean()), images, "same", drawn, 1, None)


def resampled(images: int) -> np.ndarray:
    return np.concatenate(list(bootstrap.resamplings(images, resamples=paired_tests.RESAMPLES)))


def test_draws_are_made_once_and_read_without_predictions(made: Made, tmp_path: Path) -> None:
    record = made("a", RNG.random(40) < 0.7)
    first = paired_tests.load_replicates(record, tmp_path)
    assert (first.score, first.images) == ("oa", 40)
    assert first.value == pytest.approx(record.scores["oa"])
    assert np.mean(np.array(first.values, float)) == pytest.approx(first.value, abs=1)
    kept = tmp_path / record.path.with_suffix(".npz")
    kept.unlink()
    assert paired_tests.load_replicates(record, tmp_path) == first
    newer = replace(record, made="2026-02-01T00:00:00+00:00")
    with pytest.raises(DataError, match="no predictions of a on aid were kept"):
        paired_tests.load_replicates(newer, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"record": 1}'])
def test_a_damaged_file_of_draws_is_made_again(text: str, made: Made, tmp_path: Path) -> None:
    record = made("a", RNG.random(20) < 0.7)
    first = paired_tests.load_replicates(record, tmp_path)
    path = tmp_path / record.path.with_suffix(".draws")
    path.write_text(text)
    assert paired_tests.load_replicates(record, tmp_path) == first
    assert json.loads(path.read_text())["images"] == 20


def test_images_in_another_order_are_resampled_alike(made: Made, tmp_path: Path) -> None:
    right = RNG.random(30) < 0.6
    one, other = made("a", right), made("b", right)
    kept = predictions.load_predictions(other, tmp_path)
    turned = predictions.empty_metric(other)
    order = RNG.permutation(30)
    state = {n: a[order] if len(a) else a for n, a in kept.metrics[0].state().items()}
    path = tmp_path / other.path.with_suffix(".npz")
    predictions.save_predictions(path, [kept.keys[i] for i in order], [turned.restored(state)])
    first, second = (
        paired_tests.load_replicates(one, tmp_path),
        paired_tests.load_replicates(other, tmp_path),
    )
    assert first.values == second.values
    found = paired_tests.paired_difference(first, second)
    assert found == (0, 0, 0, 0, 1, paired_tests.EXACT)


def test_other_images_are_refused(made: Made, tmp_path: Path) -> None:
    one, other = (
        paired_tests.load_replicates(made(m, [True] * n), tmp_path)
        for m, n in (("a", 20), ("b", 21))
    )
    with pytest.raises(DataError, match="other test images: oa of 20 and oa of 21"):
        paired_tests.paired_difference(one, other)
    with pytest.raises(DataError, match="other test images"):
        paired_tests.paired_difference(one, replace(one, keys="0"))
    single = replace(one, images=1)
    with pytest.raises(DataError, match="too few"):
        paired_tests.paired_difference(single, single)


def test_undefined_resamples_are_left_out_of_both() -> None:
    one = Replicates("", "oa", 2.0, 50, "same", [None, *[2.0] * 9], 1, None)
    other = Replicates("", "oa", 1.0, 50, "same", [*[1.0] * 9, None], 1, None)
    assert paired_tests.paired_difference(one, other)[:3] == (1, 1, 1)


def test_the_error_and_the_interval_of_a_mean_are_those_of_students_t() -> None:
    values = RNG.normal(3, 2, 15)
    found = paired_tests.paired_difference(of(values, w := resampled(15)), of(np.zeros(15), w))
    low, high = scipy.stats.t.interval(0.95, 14, values.mean(), scipy.stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(scipy.stats.sem(values) * np.sqrt(14 / 15), rel=0.05)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.25 * found.error)


def test_p_is_the_level_at_which_the_interval_ends_at_zero() -> None:
    values = RNG.normal(0, 1, 40)
    weights, nothing = resampled(40), np.zeros(40)
    for shift in np.linspace(0.1, 0.8, 12):
        found = paired_tests.paired_difference(
            of(values - values.mean() + shift, weights), of(nothing, weights)
        )
        if abs(found.p - paired_tests.LEVEL) > 0.005:
            assert (found.p < paired_tests.LEVEL) == (found.low > 0)


def nulls(images: int, count: int, shift: float = 0.0) -> list[paired_tests.Difference]:
    """Differences of two models that differ by chance alone, or by `shift` standard errors.

    Skewed scores of images, most of their difference common to both models.
    """
    weights, rng = resampled(images), np.random.default_rng(images)
    found = []
    for _ in range(count):
        easy = rng.exponential(3, images)
        one, other = (easy + rng.exponential(1, images) for _ in range(2))
        moved = shift * np.sqrt(2 / images)
        found.append(paired_tests.paired_difference(of(one + moved, weights), of(other, weights)))
    return found


def test_p_is_uniform_where_there_is_no_difference() -> None:
    ps = [d.p for d in nulls(100, 500)]
    assert scipy.stats.kstest(ps, "uniform").pvalue > 0.05
    assert 0.02 < np.mean(np.array(ps) < 0.05) < 0.08  # three standard errors of 500 repetitions


def test_p_goes_on_falling_where_no_resample_reaches_zero() -> None:
    values, weights = RNG.normal(0, 1, 30), resampled(30)
    values = (values - values.mean()) / values.std(ddof=1)
    for shift in (1.0, 2.0, 4.0):
        found = paired_tests.paired_difference(
            of(values + shift, weights), of(np.zeros(30), weights)
        )
        expected = 2 * scipy.stats.t.sf(shift * np.sqrt(30), 29)
        assert np.log(found.p) == pytest.approx(np.log(expected), rel=0.1)


def test_of_few_images_p_is_not_too_small_and_the_interval_covers() -> None:
    found = nulls(10, 500)
    assert np.mean([d.p < 0.05 for d in found]) < 0.08
    assert np.mean([d.p < 0.01 for d in found]) < 0.024  # three standard errors of 500
    assert np.mean([d.low <= 0 <= d.high for d in found]) > 0.92


def test_a_difference_of_three_standard_errors_is_found_five_times_in_six() -> None:
    found = nulls(100, 300, shift=3.0)
    assert np.mean([d.p < 0.05 for d in found]) == pytest.approx(0.85, abs=0.06)
    assert np.mean([d.value > 0 for d in found]) > 0.99


def enumerated(differences: list[int]) -> float:
    """Two-sided p of the sum under all ways to swap two models on images."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    return float(np.mean(np.abs(signs @ differences) >= abs(sum(differences))))


@given(st.lists(st.integers(-1, 1), max_size=10))
def test_the_test_of_one_seed_is_mcnemars(differences: list[int]) -> None:
    p, test = paired_tests.sign_flip(differences)
    assert test == paired_tests.EXACT
    assert p == pytest.approx(enumerated(differences))
    won, lost = differences.count(1), differences.count(-1)
    if won + lost:
        assert p == pytest.approx(scipy.stats.binomtest(won, won + lost).pvalue)


def test_the_test_of_several_seeds_is_that_of_random_swaps() -> None:
    for differences in ([3, 2, -1, 2, 0, 1, 3, -2, 3], [1, -2, 1, 0, 3, -3], [2, 2, 1, 2, 1, 2, 2]):
        p, test = paired_tests.sign_flip(differences)
        assert test == paired_tests.FLIPPED
        assert p == pytest.approx(enumerated(differences), abs=0.02)  # 4 standard errors


def test_large_test_sets_are_tested_exactly_and_at_once() -> None:
    differences = [1] * 10_300 + [-1] * 10_000
    expected = scipy.stats.binomtest(10_300, 20_300).pvalue
    assert paired_tests.sign_flip(differences)[0] == pytest.approx(expected)
    assert paired_tests.sign_flip([1] * 5000) == (0.0, paired_tests.EXACT)  # 2 / 2**5000


def test_seeds_are_averaged_image_by_image(made: Made, tmp_path: Path) -> None:
    one = made("a", [[True] * 8, [True] * 4 + [False] * 4])
    other = made("b", [[True] * 2 + [False] * 6])
    first, second = (paired_tests.load_replicates(r, tmp_path) for r in (one, other))
    assert (first.seeds, second.seeds, first.rights) == (2, 1, [2, 2, 2, 2, 1, 1, 1, 1])
    found = paired_tests.paired_difference(first, second)
    assert found.value == pytest.approx(75 - 25)
    assert found.test == paired_tests.FLIPPED
    assert found.p == pytest.approx(enumerated([0, 0, 2, 2, 1, 1, 1, 1]), abs=0.02)


@pytest.mark.parametrize("freedom", [2, 5, 20, 1000])
def test_students_t_is_near_scipys(freedom: int) -> None:
    t = np.linspace(-8, 8, 81)
    ours = [paired_tests.below_t(x, freedom) for x in t]
    np.testing.assert_allclose(ours, scipy.stats.t.cdf(t, freedom), atol=0.002)
    assert paired_tests.quantile(0.975, freedom) == pytest.approx(
        scipy.stats.t.ppf(0.975, freedom), rel=0.05
    )


def stepwise(ps: list[float], level: float) -> set[int]:
    """What Holm's procedure rejects, as he states it."""
    rejected = set()
    for place, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if ps[index] > level / (len(ps) - place):
            break
        rejected.add(index)
    return rejected


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.001, 0.999))
def test_holms_corrected_p_rejects_what_his_procedure_rejects(
    ps: list[float], level: float
) -> None:
    corrected = paired_tests.holm(ps)
    near: Any = [abs(p - level) < 1e-9 for p in corrected]  # a rounding apart
    assert {i for i, p in enumerate(corrected) if p <= level or near[i]} >= stepwise(ps, level)
    assert {i for i, p in enumerate(corrected) if p <= level and not near[i]} <= stepwise(ps, level)


def test_equal_p_values_get_equal_corrections() -> None:
    assert paired_tests.holm([0.02, 0.02, 0.5]) == [0.06, 0.06, 0.5]
    assert paired_tests.holm([]) == []
