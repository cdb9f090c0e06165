"""Dates in the names of files, as satellites' products and people write them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError

EPOCH = datetime.date(1970, 1, 1).toordinal()
EXPECTED = "expected one date, as 2019-07-15, 20190715, 2019-07 or 2019"
# 2019-07-15, 2019_07_15, 20190715, also with a time behind it: 20190715T103021, 20190715103021.
DAY = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d{2})(?P<s>[-_.]?)(?P<m>\d{2})(?P=s)(?P<d>\d{2})(?:(?<=\d{8})\d{6})?(?!\d)"
)
MONTH = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_.]?(0[1-9]|1[0-2])(?!\d)")
YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")
# Year and day of the year: in Landsat's names of before 2017 (LC82010122019196LGN00), and in those
# of MODIS (.A2019196) and of the harmonised Landsat and Sentinel-2 (.2019196T103021).
DAY_OF_YEAR = re.compile(r"(?:^L[COTEM]\d\d{6}|\.A|\.(?=\d{7}T))((?:19|20)\d{2})(\d{3})(?!\d)")
MIDDLE = {MONTH: (None, 15), YEAR: (7, 1)}  # the month and the day that stand for the period


class DatedFiles(NamedTuple):
    """The days of a series, since 1970-01-01, and what was assumed about them."""

    days: dict[Path, int]
    note: str = ""


def days_in_names(paths: Sequence[Path]) -> DatedFiles:
    """Return the day of each file of a series by its name. Raises DataError with the reason.

    Of several dates in a name the first counts if no other is earlier: products name the time of
    sensing first, that of processing later. A month stands for its 15th, a year for 1 July; they
    count only where names differ in nothing else. Numbers such as Landsat's path and row are none.
    """
    found = {path: _days(path) for path in paths}
    if not any(found.values()) and (periods := _periods(paths)):
        return periods
    for path, days in found.items():
        if not days:
            raise DataError(f"{path} is in a series, and its name holds no date; {EXPECTED}")
        if min(days) < days[0]:
            shown = ", ".join(datetime.date.fromordinal(d + EPOCH).isoformat() for d in days)
            raise DataError(
                f"{path} is in a series, and its name holds several dates ({shown}), of which the "
                f"first is not the earliest; {EXPECTED}"
            )
    several = any(len({*days}) > 1 for days in found.values())
    note = "names hold several dates; the first is taken" if several else ""
    return DatedFiles({path: days[0] for path, days in found.items()}, note)


def have_dates(paths: Sequence[Path]) -> bool:
    """Return whether each name holds a date, or what looks like one."""
    looks = all(DAY.search(p.stem) or DAY_OF_YEAR.search(p.stem) for p in paths)
    return bool(paths) and (looks or _periods(paths) is not None)


def _days(path: Path) -> list[int]:
    """Return all dates in a name, in their order. Raises DataError where one is impossible."""
    days = []
    for match in DAY.finditer(path.stem):
        year, month, day = (int(match[part]) for part in ("y", "m", "d"))
        try:
            days.append(datetime.date(year, month, day).toordinal() - EPOCH)
        except ValueError:
            days.append(-1)
    for year, number in DAY_OF_YEAR.findall(path.stem):
        days.append(datetime.date(int(year), 1, 1).toordinal() + int(number) - 1 - EPOCH)
    # Numbers that cannot be dates, such as 99999999, do no harm beside a date.
    possible = [day for day in days if day >= 0]
    if days and not possible:
        number = next(m[0] for m in (DAY.search(path.stem), DAY_OF_YEAR.search(path.stem)) if m)
        raise DataError(
            f"{path} is in a series, and the {number} in its name is no date since 1970; {EXPECTED}"
        )
    return possible


def _periods(paths: Sequence[Path]) -> DatedFiles | None:
    """Return the days of months or years, where the names differ in nothing else."""
    for pattern, text in ((MONTH, "months"), (YEAR, "years")):
        matches = [list(pattern.finditer(path.stem)) for path in paths]
        for place in range(min(map(len, matches), default=0)):
            chosen = [found[place] for found in matches]
            others = {m.string[: m.start()] + "/" + m.string[m.end() :] for m in chosen}
            if len(others) == 1 and (len(paths) > 1 or others == {"/"}):
                days = [_middle(pattern, match) for match in chosen]
                if min(days) >= 0:
                    stands = "the 15th" if pattern is MONTH else "1 July"
                    note = f"names hold {text} only; {stands} stands for each"
                    return DatedFiles(dict(zip(paths, days, strict=True)), note)
    return None


def _middle(pattern: re.Pattern[str], match: re.Match[str]) -> int:
    month, day = MIDDLE[pattern]
    date = datetime.date(int(match[1]), month or int(match[2]), day)
    return date.toordinal() - EPOCH
