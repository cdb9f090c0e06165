from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.stats

from skybench.analysis import bootstrap
from skybench.analysis.spread import (
    FEWEST,
    Spread,
    add_spreads,
    freedom_of,
    spread_of,
    too_few,
)

RNG = np.random.default_rng(0)


def of_mean(values: np.ndarray) -> Spread:
    """The spread of the mean of one value a unit."""
    names = [f"{i:04}" for i in range(len(values))]

    def drawn(blocks: Iterator[np.ndarray]) -> list[float]:
        weights = np.concatenate(list(blocks))
        found: list[float] = (weights @ values / weights.sum(1)).tolist()
        return found

    found = spread_of(
        float(values.mean()),
        drawn(bootstrap.resamplings(names)),
        drawn(bootstrap.omissions(names)),
        len(values),
    )
    assert found is not None
    return found


@pytest.mark.parametrize("units", [8, 30, 300])
def test_the_error_of_a_mean_is_its_standard_error(units: int) -> None:
    values = RNG.normal(3, 2, units)
    found = of_mean(values)
    assert found.error == pytest.approx(scipy.stats.sem(values), rel=0.15 if units > 80 else 0.05)


def test_normal_deviations_give_nearly_all_degrees_of_freedom() -> None:
    assert freedom_of(RNG.normal(0, 1, 40).tolist()) == pytest.approx(33, abs=9)


def test_a_few_large_units_give_few_degrees_of_freedom() -> None:
    values = np.r_[np.zeros(98), 30.0, -30.0]
    assert freedom_of(values.tolist()) == pytest.approx(2.5 * 2 - 1)
    assert freedom_of([1.0, 1.0, 1.0]) == 2.0  # no variance at all
    assert freedom_of([0.0] * 50 + [1.0]) == 2.0


def test_a_score_that_is_undefined_without_a_unit_has_no_spread() -> None:
    assert spread_of(1.0, [1.0, 2.0], [1.0, float("nan")], 2) is None
    assert spread_of(1.0, [1.0], [1.0], 1) is None
    known = spread_of(1.0, [1.0, 2.0, float("nan")], [1.0, 2.0], 2)
    assert known is not None
    assert known.variance == pytest.approx((0.5 * 2 + 0.25) / 2)


@pytest.mark.parametrize("freedom", [2, 3.7, 12, 1000])
def test_p_and_reach_are_those_of_students_t(freedom: float) -> None:
    found = Spread(4.0, freedom)
    assert found.p_value(5.0, 13) == pytest.approx(2 * scipy.stats.t.sf(2.5, freedom), rel=1e-9)
    assert found.reach == pytest.approx(2 * scipy.stats.t.ppf(0.975, freedom), rel=1e-9)


def test_no_distance_has_p_1() -> None:
    assert Spread(4.0, 12.0).p_value(0.0, 13) == 1.0


def test_a_difference_that_is_the_same_everywhere_has_the_p_of_equal_signs() -> None:
    assert Spread(0.0, 7.0).p_value(3.0, 8) == 2 ** (1 - 8)
    assert Spread(1e-16, 7.0).p_value(3.0, 8) == 2 ** (1 - 8)  # rounding
    assert Spread(0.0, 7.0).p_value(0.0, 8) == 1.0


def test_parts_without_variance_do_not_count() -> None:
    assert add_spreads([Spread(2.0, 9.0), Spread(0.0, 1.0)]) == pytest.approx(Spread(2.0, 9.0))
    assert add_spreads([Spread(0.0, 9.0), Spread(0.0, 1.0)]) == Spread(0.0, 9.0)
    few = add_spreads([Spread(1.0, 50.0), Spread(9.0, 2.0)])
    assert few.freedom == pytest.approx(100 / (1 / 50 + 81 / 2))


def test_few_units_are_told() -> None:
    assert too_few(FEWEST) == ""
    assert too_few(1) == "1 independent test image: no interval (fewer than 5)"
