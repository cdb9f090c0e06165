"""Paired tests between two records of the same test samples, from their stored replicates."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from statistics import variance
from typing import NamedTuple

from skybench.analysis.replicates import Replicates, Values, known
from skybench.analysis.spread import Spread, add_spreads, spread_of, too_few
from skybench.core import DataError

FLIPS = 9_999
LEVEL = 0.05
STUDENT, SEEDS, EXACT, FLIPPED = "t", "t with seeds", "mid-p", "sign flips"


class Difference(NamedTuple):
    """The difference of two scores, with its 95 % interval, standard error, p value and test."""

    value: float
    low: float
    high: float
    error: float
    p: float  # two-sided
    test: str  # STUDENT, SEEDS, EXACT or FLIPPED


def paired_difference(one: Replicates, other: Replicates) -> Difference:
    """Test the difference of two records over the units of their test set.

    The standard error is that of the resampled differences, with as many degrees of freedom as the
    units really give (see `spread_of`), and p that of Student's t: units in which both models are
    scored alike say nothing, wherever they come from. Where a model has several seeds with
    different scores, the variance between seeds is carried too, so that p is about the models and
    not about these trained networks. The p of accuracies of single samples is that of `sign_flip`.
    How often p < 0.05 without a difference: `skybench bench statistics`.
    Raises DataError for different samples or scores, for fewer than five units, and for scores
    that rest on a single one.
    """
    if (one.keys, one.score) != (other.keys, other.score):
        raise DataError(
            f"other test images: {one.score} of {one.images} and {other.score} of {other.images} "
            "images with other keys"
        )
    if few := too_few(one.images):
        raise DataError(f"{few}, and no test")
    value = one.value - other.value
    over_units = spread_of(
        value, _gaps(one.values, other.values), _gaps(one.omitted, other.omitted), one.images
    )
    if over_units is None:
        raise DataError(f"without one of the {one.images} test images {one.score} is undefined")
    seeds = [spread for spread in map(seed_spread, (one, other)) if spread.variance]
    spread = add_spreads([over_units, *seeds])
    p, test = spread.p_value(value, one.images), SEEDS if seeds else STUDENT
    if not seeds and one.rights is not None and other.rights is not None:
        both = zip(one.rights, other.rights, strict=True)
        p, test = sign_flip([a * len(other.seeds) - b * len(one.seeds) for a, b in both])
    return Difference(value, value - spread.reach, value + spread.reach, spread.error, p, test)


def _gaps(one: Values, other: Values) -> list[float]:
    return [a - b for a, b in zip(known(one), known(other), strict=True)]


def seed_spread(replicates: Replicates) -> Spread:
    """Return the spread of a mean over seeds that is due to training, not to the test images.

    The part of the variance between seeds that comes from these images is taken off: the spread
    over units has it already.
    """
    count = len(replicates.seeds)
    if count < 2:
        return Spread(0.0, 1.0)
    total = variance(replicates.seeds) / count
    return Spread(max(0.0, total - replicates.interaction), count - 1)


def sign_flip(differences: Sequence[int]) -> tuple[float, str]:
    """Return the two-sided mid-p of a sign-flip test over samples, and the test's name.

    differences: of each sample, in any unit. Exact where all differences but 0 are of one size
    (with one seed this is McNemar's test), else from 9,999 random sign flips. The mid-p counts half
    of the outcomes as extreme as the observed one: all of them would give p < 0.05 in 2 to 3 % of
    the cases without a difference (Fagerland et al., BMC Medical Research Methodology 2013, 13).

    >>> sign_flip([1, 1, 1, 1, 1, -1, 0, 0])
    (0.125, 'mid-p')
    """
    counts = Counter(abs(d) for d in differences if d)
    total = abs(sum(differences))
    if len(counts) <= 1:
        number = sum(counts.values())
        fewer = (number - total // max(counts, default=1)) // 2
        term = tail = 1
        for i in range(fewer):
            term = term * (number - i) // (i + 1)
            tail += term
        return min(1.0, (2 * tail - term) / 2**number), EXACT
    if not total:
        return 1.0, FLIPPED
    rng = random.Random(0)
    reached = 0.5
    for _ in range(FLIPS):
        each = (d * (2 * rng.getrandbits(n).bit_count() - n) for d, n in counts.items())
        drawn = abs(sum(each))
        reached += (drawn > total) + (drawn == total) / 2
    return reached / (1 + FLIPS), FLIPPED


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values after the Holm-Bonferroni correction, which controls the family-wise error.

    Source: Holm, Scandinavian Journal of Statistics 1979, 6(2), 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, highest = [0.0] * len(ps), 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - place) * ps[index]))
        corrected[index] = highest
    return corrected
