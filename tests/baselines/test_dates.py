"""The calendar, beside NumPy's."""

from __future__ import annotations

import numpy as np
import torch

from skybench.baselines._adapters.dates import months, year_and_month, year_and_ordinal


def test_every_day_of_four_centuries_is_as_numpys() -> None:
    days = np.arange("1899-12-25", "2301-01-05", dtype="datetime64[D]")
    years, month = days.astype("datetime64[Y]"), days.astype("datetime64[M]")
    given = torch.from_numpy(days.astype(np.int64))
    year, day = year_and_ordinal(given)
    assert np.array_equal(year, years.astype(int) + 1970)
    assert np.array_equal(day, (days - years.astype("datetime64[D]")).astype(int))
    year, number = year_and_month(given)
    assert np.array_equal(year, years.astype(int) + 1970)
    assert np.array_equal(number, month.astype(int) % 12)


def test_an_unknown_day_has_the_given_month() -> None:
    days = torch.tensor([[-1, 0], [59, 18000]], dtype=torch.int32)
    found = months(days, 6)
    assert found.tolist() == [[6, 0], [2, 3]]
    assert found.dtype == torch.int64
