"""Paired differences of resampled scores: whether p and intervals are right."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.analysis import bootstrap, paired_tests
from skybench.analysis.replicates import Replicates, load_replicates
from skybench.core import DataError, Record

Made = Callable[..., Record]
RNG = np.random.default_rng(0)


def named(units: int) -> list[str]:
    return [f"u{i:04}" for i in range(units)]


@functools.cache
def weights(units: int) -> tuple[np.ndarray, np.ndarray]:
    """Of bootstrap replicates, and without each unit."""
    names = named(units)
    drawn = np.concatenate(list(bootstrap.resamplings(names, 0, 500)))
    return drawn, np.concatenate(list(bootstrap.omissions(names)))


def of(values: np.ndarray, seeds: Sequence[float] = (), interaction: float = 0.0) -> Replicates:
    """The mean of one value a unit [N]."""
    mean = float(values.mean())
    drawn, omitted = ((w @ values / w.sum(1)).tolist() for w in weights(len(values)))
    return Replicates(
        "", "miou", mean, len(values), "same", drawn, omitted, seeds or [mean], interaction, None
    )


def test_other_images_are_refused(made: Made, tmp_path: Path) -> None:
    one, other = (load_replicates(made(m, [True] * n), tmp_path) for m, n in (("a", 20), ("b", 21)))
    with pytest.raises(DataError, match="other test images: oa of 20 and oa of 21"):
        paired_tests.paired_difference(one, other)
    with pytest.raises(DataError, match="other test images"):
        paired_tests.paired_difference(one, replace(one, keys="0"))


@pytest.mark.parametrize("units", [1, 3, 4])
def test_a_few_images_have_no_test(units: int) -> None:
    few = replace(of(np.arange(9.0)), images=units)
    with pytest.raises(DataError, match=f"{units} independent test image.*, and no test"):
        paired_tests.paired_difference(few, few)


def test_undefined_resamples_are_left_out_of_both() -> None:
    one, other = of(np.arange(9.0)), of(np.arange(9.0)[::-1] - 1)
    partly = replace(one, values=[None, *one.values[1:]])
    assert paired_tests.paired_difference(partly, other).value == pytest.approx(1)
    with pytest.raises(DataError, match="without one of the 9 test images miou is undefined"):
        paired_tests.paired_difference(replace(one, omitted=[None, *one.omitted[1:]]), other)


@pytest.mark.parametrize("units", [8, 15, 60])
def test_error_interval_and_p_of_a_mean_are_those_of_the_paired_t_test(units: int) -> None:
    one, other = RNG.normal(3, 2, units), RNG.normal(2.5, 2, units)
    found = paired_tests.paired_difference(of(one), of(other))
    expected = scipy.stats.ttest_rel(one, other)
    band = expected.confidence_interval(0.95)
    assert found.value == pytest.approx((one - other).mean())
    assert found.error == pytest.approx(scipy.stats.sem(one - other), rel=0.05)
    assert (found.low, found.high) == pytest.approx((band.low, band.high), abs=0.3 * found.error)
    assert found.p == pytest.approx(expected.pvalue, abs=0.03)
    assert found.test == paired_tests.STUDENT


def test_p_is_the_level_at_which_the_interval_ends_at_zero() -> None:
    values, nothing = RNG.normal(0, 1, 40), of(np.zeros(40))
    for shift in np.linspace(0.1, 0.8, 12):
        found = paired_tests.paired_difference(of(values - values.mean() + shift), nothing)
        if abs(found.p - paired_tests.LEVEL) > 0.005:
            assert (found.p < paired_tests.LEVEL) == (found.low > 0)


def nulls(units: int, count: int, shift: float = 0.0) -> list[paired_tests.Difference]:
    """Differences of two models that differ by chance alone, or by `shift` standard errors.

    Skewed scores of units, most of their difference common to both models.
    """
    rng, found = np.random.default_rng(units), []
    for _ in range(count):
        easy = rng.exponential(3, units)
        one, other = (easy + rng.exponential(1, units) for _ in range(2))
        found.append(
            paired_tests.paired_difference(of(one + shift * np.sqrt(2 / units)), of(other))
        )
    return found


def test_of_few_images_p_is_not_too_small_and_the_interval_covers() -> None:
    found = nulls(10, 300)
    assert 0.02 < np.mean([d.p < 0.05 for d in found]) < 0.08
    assert np.mean([d.low <= 0 <= d.high for d in found]) > 0.92


def test_a_difference_of_three_standard_errors_is_found_five_times_in_six() -> None:
    found = nulls(60, 150, shift=3.0)
    assert np.mean([d.p < 0.05 for d in found]) == pytest.approx(0.84, abs=0.09)
    assert np.mean([d.value > 0 for d in found]) > 0.98


def test_the_variance_between_seeds_is_carried() -> None:
    values = RNG.normal(0, 1, 200)
    one, other = of(values + 0.5), of(values + RNG.normal(0, 0.1, 200))
    alone = paired_tests.paired_difference(one, other)
    assert alone.p < 1e-6
    spread = [one.value + 2, one.value, one.value - 2]
    found = paired_tests.paired_difference(replace(one, seeds=spread), other)
    assert found.test == paired_tests.SEEDS
    assert found.error == pytest.approx(np.hypot(alone.error, 2 / np.sqrt(3)))
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(0.5 / found.error, 2), abs=0.05)
    # What differs between seeds on these images alone is in the error over images already.
    noise = replace(one, seeds=spread, interaction=2.0)
    assert paired_tests.paired_difference(noise, other) == alone


def test_seeds_with_one_score_have_no_variance() -> None:
    one = of(RNG.normal(0, 1, 20))
    same = replace(one, seeds=[one.value] * 3)
    assert paired_tests.seed_spread(same).variance == 0
    assert paired_tests.paired_difference(same, of(np.zeros(20))).test == paired_tests.STUDENT


def test_equal_models_with_different_seeds_are_seldom_told_apart() -> None:
    rng, apart = np.random.default_rng(5), []
    for _ in range(150):
        images, results = rng.normal(0, 10, 100), []
        for _ in range(2):
            seeds = rng.normal(70, 2, 3)
            each = seeds[:, None] + images + rng.normal(0, 2, (3, 100))
            within = (each - each.mean(0)).var(1).mean() / 100 / 2
            results.append(of(each.mean(0), each.mean(1).tolist(), float(within)))
        apart.append(paired_tests.paired_difference(*results).p < 0.05)
    assert np.mean(apart) < 0.1  # 0.48 where only images are drawn


def enumerated(differences: list[int]) -> float:
    """Two-sided mid-p of the sum under all ways to swap two models on images."""
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    drawn, total = np.abs(signs @ differences), abs(sum(differences))
    half = 0.5 if any(differences) and total else 0.0
    return min(1.0, float(np.mean(drawn > total) + (1 - half) * np.mean(drawn == total)))


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.integers(-1, 1), max_size=10))
def test_the_test_of_one_seed_is_mcnemars_with_the_mid_p(differences: list[int]) -> None:
    p, test = paired_tests.sign_flip(differences)
    assert test == paired_tests.EXACT
    assert p == pytest.approx(enumerated(differences))
    won, lost = differences.count(1), differences.count(-1)
    if won != lost:
        exact = scipy.stats.binomtest(won, won + lost).pvalue
        observed = scipy.stats.binom.pmf(won, won + lost, 0.5)
        assert p == pytest.approx(exact - observed)


def test_the_test_of_several_seeds_is_that_of_random_swaps() -> None:
    for differences in ([3, 2, -1, 2, 0, 1, 3, -2, 3], [1, -2, 1, 0, 3, -3], [2, 2, 1, 2, 1, 2, 2]):
        p, test = paired_tests.sign_flip(differences)
        assert test == paired_tests.FLIPPED
        assert p == pytest.approx(enumerated(differences), abs=0.02)  # 4 standard errors


def test_large_test_sets_are_tested_exactly_and_at_once() -> None:
    differences = [1] * 10_300 + [-1] * 10_000
    expected = scipy.stats.binomtest(10_300, 20_300).pvalue
    assert paired_tests.sign_flip(differences)[0] == pytest.approx(expected, rel=0.02)
    assert paired_tests.sign_flip([1] * 5000) == (0.0, paired_tests.EXACT)  # 1 / 2**5000


def test_accuracies_of_single_images_are_tested_by_mcnemar(made: Made, tmp_path: Path) -> None:
    one, other = made("a", [True] * 8), made("b", [True] * 2 + [False] * 6)
    first, second = (load_replicates(r, tmp_path) for r in (one, other))
    found = paired_tests.paired_difference(first, second)
    assert found.value == pytest.approx(75)
    assert (found.p, found.test) == (2 / 2**6 / 2, paired_tests.EXACT)


def test_accuracies_of_images_of_one_place_are_not(made: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = [f"place{i // 10}" for i in range(100)]
    right = np.repeat(rng.random((2, 10)) < 0.5, 10, axis=1)
    one, other = made("a", right[0], groups=places), made("b", right[1], groups=places)
    found = paired_tests.paired_difference(*(load_replicates(r, tmp_path) for r in (one, other)))
    assert found.test == paired_tests.STUDENT
    gaps = (right[0].astype(int) - right[1])[::10] * 100.0
    assert found.error == pytest.approx(scipy.stats.sem(gaps), rel=0.05)


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
