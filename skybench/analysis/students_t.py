"""Student's t distribution without scipy, so that tables start quickly; accurate to 0.002."""

from __future__ import annotations

import math
from statistics import NormalDist


def below_t(t: float, freedom: float) -> float:
    """Return the CDF of Student's t, within 0.002 (with one degree of freedom, 0.008).

    Source: Wallace, Bounds on normal approximations to Student's and the chi-square
    distributions, Annals of Mathematical Statistics 1959, 30(4).

    >>> round(below_t(-2.262, 9), 3)
    0.025
    """
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.erfc(math.copysign(z, -t) / math.sqrt(2)) / 2


def quantile(share: float, freedom: float) -> float:
    """Return the quantile of Student's t, the inverse of `below_t`, for a share of at least 0.5.

    >>> round(quantile(0.975, 9), 2)
    2.26
    """
    z = NormalDist().inv_cdf(share) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.sqrt(freedom * math.expm1(z * z / freedom))
