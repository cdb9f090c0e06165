from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from skybench.analysis import students_t


@pytest.mark.parametrize("freedom", [2, 5, 20, 1000])
def test_students_t_is_near_scipys(freedom: int) -> None:
    t = np.linspace(-8, 8, 81)
    ours = [students_t.below_t(x, freedom) for x in t]
    np.testing.assert_allclose(ours, scipy.stats.t.cdf(t, freedom), atol=0.002)
    assert students_t.quantile(0.975, freedom) == pytest.approx(
        scipy.stats.t.ppf(0.975, freedom), rel=0.05
    )


@pytest.mark.parametrize("freedom", [2, 3.7, 40])
def test_the_quantile_is_the_inverse(freedom: float) -> None:
    for share in (0.6, 0.975, 0.999):
        assert students_t.below_t(students_t.quantile(share, freedom), freedom) == pytest.approx(
            share
        )
