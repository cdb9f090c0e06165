"""Years, months and days of the year of day numbers, without leaving the device."""

from __future__ import annotations

import torch
from torch import Tensor

FEBRUARY = 59  # days of January and February, but in leap years


def months(days: Tensor, unknown: int) -> Tensor:
    """Months, 0..11, of days since 1970-01-01, int64; `unknown` where the day is -1."""
    return year_and_month(days)[1].masked_fill(days < 0, unknown)


def year_and_month(days: Tensor) -> tuple[Tensor, Tensor]:
    """Year and month, 0..11, of days since 1970-01-01, int64 each."""
    year, day = year_and_ordinal(days)
    march = year_start(year + 1) - year_start(year) - 365 + FEBRUARY  # first day of March, from 0
    # From March on, five months have 153 days: 31, 30, 31, 30, 31.
    later = torch.div(5 * (day - march) + 2, 153, rounding_mode="floor") + 2
    return year, torch.where(day < march, (day >= 31).long(), later)


def year_and_ordinal(days: Tensor) -> tuple[Tensor, Tensor]:
    """Year and day of the year from 0, of days since 1970-01-01, int64 each."""
    days = days.long()
    year = 1970 + torch.div(400 * days, 146097, rounding_mode="floor")  # right, or one too far
    year = year - (year_start(year) > days).long()
    year = year + (year_start(year + 1) <= days).long()
    return year, days - year_start(year)


def year_start(year: Tensor) -> Tensor:
    """Days from 1970-01-01 to the first of January in the Gregorian calendar."""
    before = year - 1
    leaps = sum(
        sign * torch.div(before, n, rounding_mode="floor")
        for sign, n in ((1, 4), (-1, 100), (1, 400))
    )
    return 365 * before + leaps - 719162
