"""The sampling error of a score: its variance and the degrees of freedom of that variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

FEWEST = 5  # independent units for an interval or a test
LEAST_FREEDOM = 2.0
PEAKED = 2.5  # see `freedom_of`
NEGLIGIBLE = 1e-6  # of a distance: replicates are stored with nine digits
SHARE = 0.975  # of a two-sided 95 % interval


class Spread(NamedTuple):
    """A variance, and the degrees of freedom with which it is known."""

    variance: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.variance)

    @property
    def reach(self) -> float:
        """Half the length of a symmetric 95 % interval."""
        from scipy.special import stdtrit  # here: tables without tests start without it

        return self.error * float(stdtrit(self.freedom, SHARE))

    def p_value(self, distance: float, units: int) -> float:
        """Return the two-sided p of a distance from 0, by Student's t.

        A distance that is the same in all units has no variance; its p is that of equal signs.
        """
        if not distance:
            return 1.0
        if self.error <= NEGLIGIBLE * abs(distance):
            return float(2.0 ** (1 - units))
        from scipy.special import stdtr

        return 2 * float(stdtr(self.freedom, -abs(distance) / self.error))


def spread_of(
    value: float, drawn: Sequence[float], omitted: Sequence[float], units: int
) -> Spread | None:
    """Return the spread of a score; None where it is undefined without some unit.

    value: the score; drawn: its bootstrap replicates, of which undefined ones (NaN) are left out;
    omitted: the scores without each unit in turn (see `bootstrap.omissions`).
    The variance is the mean of the bootstrap's and the jackknife's: of average precision the first
    is too small for few images, the second too large for many, and other scores have both alike.
    The bootstrap's is taken about the score, so that the bias of few units widens intervals, and
    raised by n / (n - 1), since it takes the units for all there are.
    """
    known = [v for v in drawn if v == v]
    if units < 2 or len(known) < 2 or any(v != v for v in omitted):
        return None
    bootstrap = math.fsum((v - value) ** 2 for v in known) / len(known) * units / (units - 1)
    mean, parts = math.fsum(omitted) / len(omitted), len(omitted)
    jackknife = math.fsum((v - mean) ** 2 for v in omitted) * (parts - 1) / parts
    return Spread((bootstrap + jackknife) / 2, freedom_of(omitted))


def freedom_of(omitted: Sequence[float]) -> float:
    """Return the degrees of freedom of a score's variance, from its values without each unit.

    Where a few units carry most of the variance, as few images that hold most of the change, it is
    known no better than from these few: c (sum u^2)^2 / sum u^4 - 1 for the deviations u, at least
    2 and at most one less than the units. With c = 3 it is right for normal deviations of many
    units; the 2.5 was chosen by simulation (`skybench bench statistics`).

    >>> [round(freedom_of(v)) for v in ([1, 2, 1, 2, 1, 2], [1, 1, 1, 1, 1, 1, 1, 1, 1, 9])]
    [5, 2]
    """
    mean = math.fsum(omitted) / len(omitted)
    squares = [(v - mean) ** 2 for v in omitted]
    fourth = math.fsum(s * s for s in squares)
    if not fourth:
        return max(LEAST_FREEDOM, len(omitted) - 1)
    freedom = PEAKED * math.fsum(squares) ** 2 / fourth - 1
    return min(max(LEAST_FREEDOM, freedom), max(LEAST_FREEDOM, len(omitted) - 1))


def add_spreads(parts: Sequence[Spread]) -> Spread:
    """Return the spread of a sum of independent parts, its freedom by Welch and Satterthwaite.

    >>> add_spreads([Spread(1.0, 4.0), Spread(1.0, 4.0), Spread(0.0, 2.0)])
    Spread(variance=2.0, freedom=8.0)
    """
    some = [part for part in parts if part.variance] or list(parts[:1])
    total = math.fsum(part.variance for part in some)
    if not total:
        return some[0]
    rest = math.fsum(part.variance**2 / part.freedom for part in some)
    return Spread(total, total**2 / rest)


def too_few(units: int) -> str:
    """Return why so few independent units have no interval and no test; "" where they suffice.

    >>> too_few(3)
    '3 independent test images: no interval (fewer than 5)'
    """
    if units >= FEWEST:
        return ""
    images = "1 independent test image" if units == 1 else f"{units} independent test images"
    return f"{images}: no interval (fewer than {FEWEST})"
