"""Dates in the names of files: those of products and of people, and numbers that are none."""

from __future__ import annotations

import datetime
import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.core import DataError

name_dates = importlib.import_module("skybench.datasets._readers.name_dates")
S2 = "S2A_MSIL2A_20190715T103021_N0500_R051_T31UFU_20230712T223344"
JULY = "2019-07-15"


def dates(*stems: str) -> list[str]:
    """The days found in the names of one series."""
    paths = [Path(f"{stem}.tif") for stem in stems]
    days = name_dates.days_in_names(paths).days
    return [datetime.date.fromordinal(days[p] + name_dates.EPOCH).isoformat() for p in paths]


@pytest.mark.parametrize(
    "stem",
    [
        "2019-07-15", "2019_07_15", "2019.07.15", "20190715", "20190715T103021", "20190715103021",
        "a_20190715_b", "tile12_2019-07-15_10-30-21", "20190715_103021_1003_3B_AnalyticMS", S2,
        "LC08_L1TP_201012_20190715_20190720_01_T1", "LC08_201012_20190715", "LC82010122019196LGN00",
        "S1A_IW_GRDH_1SDV_20190715T052345_20190715T052410_028123_032D2E_1A2B",
        "HLS.S30.T31UFU.2019196T105031.v2.0",
        "MOD09A1.A2019196.h18v04.006.2019206034532", "x_99999999_20190715", "20190715_20190715",
    ],
)  # fmt: skip
def test_the_day_of_the_image_is_found(stem: str) -> None:
    assert dates(stem) == [JULY]


@pytest.mark.parametrize(
    ("stems", "days"),
    [
        (("2018", "2019"), ["2018-07-01", "2019-07-01"]),
        (("a_2018_v2", "a_2019_v2"), ["2018-07-01", "2019-07-01"]),
        (("2019-07", "2019-08"), ["2019-07-15", "2019-08-15"]),
        (("x201907", "x201908"), ["2019-07-15", "2019-08-15"]),
        (("2019",), ["2019-07-01"]),
        (("r201012_201907", "r201012_201908"), ["2019-07-15", "2019-08-15"]),
    ],
)
def test_months_and_years_stand_for_their_middle(stems: tuple[str, ...], days: list[str]) -> None:
    assert dates(*stems) == days
    note = name_dates.days_in_names([Path(f"{stem}.tif") for stem in stems]).note
    assert "stands for each" in note


@pytest.mark.parametrize(
    ("stems", "reason"),
    [
        (("a", "b"), "its name holds no date; expected one date, as 2019-07-15"),
        (("2019-02-30",), "the 2019-02-30 in its name is no date since 1970"),
        (("19500101",), "no date since 1970"),
        (("20230101_20190715",), r"several dates \(2023-01-01, 2019-07-15\), of which the first"),
        (("a_2018", "b_2019"), "holds no date"),  # numbers that differ in more than a year
        (("river_2001",), "holds no date"),
        (("15-07-2019", "16-08-2019"), "holds no date"),
        (("LC08_201012", "LC08_201013"), "holds no date"),
        (("2019-07-15", "other"), "other.tif is in a series, and its name holds no date"),
    ],
)
def test_why_a_name_has_no_date_is_said(stems: tuple[str, ...], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        dates(*stems)


def test_the_first_of_several_dates_is_told() -> None:
    assert name_dates.days_in_names([Path(f"{S2}.tif")]).note.startswith("names hold several dates")
    assert not name_dates.days_in_names([Path("2019-07-15.tif")]).note


@pytest.mark.parametrize("stems", [("a", "b"), ("road_001", "road_002"), ("n2001", "m2002"), ()])
def test_other_numbers_make_no_series(stems: tuple[str, ...]) -> None:
    assert not name_dates.have_dates([Path(f"{stem}.png") for stem in stems])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2099, 12, 31)), st.sampled_from("-_."))
def test_every_day_is_read_in_each_form(day: datetime.date, mark: str) -> None:
    for stem in (day.strftime(f"%Y{mark}%m{mark}%d"), day.strftime("T_%Y%m%dT101530")):
        assert dates(stem) == [day.isoformat()]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.text("0123456789-_.TA/LC\0é", max_size=30), max_size=4))
def test_any_names_give_days_or_a_reason(stems: list[str]) -> None:
    paths = [Path(stem) for stem in stems]
    looks = name_dates.have_dates(paths)
    try:
        days = name_dates.days_in_names(paths).days
    except DataError:
        return
    assert set(days) == set(paths)
    assert all(day >= 0 for day in days.values())
    assert looks or not paths
