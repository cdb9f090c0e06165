"""Bootstrap replicates of a record's main score, and paired tests between two records.

Replicates are stored beside the record. Records of the same test images are resampled with the
same weights, so a paired comparison needs the stored replicates alone; NumPy is imported only to
make them.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist, stdev
from typing import NamedTuple

from skybench.core import DataError, Record
from skybench.core.atomic import write_whole

VERSION = 1  # raised when the resampling changes: only replicates of one version are comparable
RESAMPLES = 2000
FLIPS = 9_999
RARE = 10  # replicates: a smaller tail is extrapolated, not counted
LEVEL = 0.05
BOOTSTRAP, EXACT, FLIPPED = "bootstrap", "exact", "sign flips"


@dataclass(frozen=True)
class Replicates:
    """A record's main score and its bootstrap replicates, None where a replicate is undefined."""

    record: str  # VERSION, and fingerprint and time of the record
    score: str
    value: float
    images: int
    keys: str  # sha256 of the images' keys
    values: Sequence[float | None]
    seeds: int
    # The number of seeds that are right on each image, in the order of keys; None where the score
    # is not an accuracy.
    rights: Sequence[int] | None


class Difference(NamedTuple):
    """The difference of two scores, with its 95 % interval, standard error, p value and test."""

    value: float
    low: float
    high: float
    error: float
    p: float  # two-sided
    test: str  # BOOTSTRAP, EXACT or FLIPPED


def load_replicates(record: Record, results: Path) -> Replicates:
    """Return the bootstrap replicates of a record's main score; make and store them if needed.

    Raises DataError where they need predictions and these were not kept, or are damaged.
    """
    path = results / record.path.with_suffix(".draws")
    name = f"{VERSION} {record.fingerprint} {record.made}"
    with contextlib.suppress(OSError, ValueError, TypeError):
        known = Replicates(**json.loads(path.read_text(encoding="utf-8")))
        if known.record == name and len(known.values) == RESAMPLES:
            return known
    if not path.with_suffix(".npz").is_file():
        raise DataError(
            f"no predictions of {record.model} on {record.dataset} were kept; run the cell again "
            "with --force (without --no-predictions)"
        )
    made = _resampled(record, results, name)
    with contextlib.suppress(OSError), write_whole(path) as file:  # the folder may be read-only
        file.write_text(json.dumps(asdict(made)), encoding="utf-8")
    return made


def _resampled(record: Record, results: Path, name: str) -> Replicates:
    """Draw weights for the images in the order of their keys, seeded by the keys.

    So records of the same images get the same weights, in whatever order the images were read.
    """
    import numpy as np

    from skybench.analysis import bootstrap
    from skybench.core.fingerprint import fingerprint_keys
    from skybench.metrics.accuracy import Accuracy
    from skybench.records import predictions

    if record.main is None:
        raise DataError(f"{record.model} on {record.dataset} was not measured: {record.note}")
    kept, score = predictions.load_predictions(record, results), record.main[0]
    keys = fingerprint_keys(kept.keys)
    place = np.argsort(np.argsort(np.array(kept.keys), kind="stable"))
    blocks = bootstrap.resamplings(len(kept.keys), int(keys[:8], 16), RESAMPLES)
    drawn = [np.mean([m.scores(w[:, place])[score] for m in kept.metrics], axis=0) for w in blocks]
    values = [None if math.isnan(v) else round(v, 6) for v in np.concatenate(drawn).tolist()]
    value = float(np.mean([m.scores()[score] for m in kept.metrics]))
    images = bootstrap.independent(kept.metrics[0], len(kept.keys))
    made = Replicates(name, score, value, images, keys, values, len(kept.metrics), None)
    singles = [m for m in kept.metrics if isinstance(m, Accuracy)]
    if not singles or score != "oa":
        return made
    rights = np.sum([np.equal(m.predicted, m.true) for m in singles], axis=0)
    return replace(made, rights=rights[np.argsort(place)].tolist())


def paired_difference(one: Replicates, other: Replicates) -> Difference:
    """Test the difference of two records by the paired bootstrap over test images.

    The interval is the percentile interval of the resampled differences, widened for few images
    so that it has the coverage of Student's t; p is the level at which it would end at 0, or where
    hardly a resample reaches 0, the tail of Student's t. Simulated without a difference (mIoU), p
    is uniform: p < 0.05 in 4.9, 5.3, 5.9, 4.2 and 4.8 % of the cases for 8, 10, 20, 50 and 100
    images (without the widening for 10 in 10.5 %).
    The p of accuracies is that of `sign_flip`: where few images tell two models apart, as 4 to 0,
    the bootstrap gives 0.04 instead of 0.13.
    Raises DataError for different images or scores, and for fewer than two images.
    Source: Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician
    2015, 69(4): the expanded percentile interval.
    """
    if (one.keys, one.score) != (other.keys, other.score):
        raise DataError(
            f"other test images: {one.score} of {one.images} and {other.score} of {other.images} "
            "images with other keys"
        )
    pairs = zip(one.values, other.values, strict=True)
    drawn = sorted(a - b for a, b in pairs if a is not None and b is not None)
    if one.images < 2 or len(drawn) < 2:
        raise DataError(f"{one.images} test image(s) are too few to be resampled")
    widening = math.sqrt(one.images / (one.images - 1))
    tail = NormalDist().cdf(-widening * quantile(1 - LEVEL / 2, one.images - 1))
    below = sum(d < 0 for d in drawn) + sum(d == 0 for d in drawn) / 2
    beyond = min(below, len(drawn) - below)
    value, error = one.value - other.value, stdev(drawn)
    z = -NormalDist().inv_cdf((beyond + 1) / (len(drawn) + 2))
    if beyond < RARE and error:
        z = max(z, abs(value) / error)
    p, test = 2 * below_t(-z / widening, one.images - 1), BOOTSTRAP
    if one.rights is not None and other.rights is not None:
        both = zip(one.rights, other.rights, strict=True)
        p, test = sign_flip([a * other.seeds - b * one.seeds for a, b in both])
    low, high = _at(drawn, tail), _at(drawn, 1 - tail)
    return Difference(value, low, high, error, p, test)


def sign_flip(differences: Sequence[int]) -> tuple[float, str]:
    """Return the two-sided p of a sign-flip test over images, and the test's name.

    differences: of each image, in any unit. Exact where all differences but 0 are of one size (with
    one seed this is McNemar's exact test), else from 9,999 random sign flips.

    >>> sign_flip([1, 1, 1, 1, 1, -1, 0, 0])
    (0.21875, 'exact')
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
        return min(1.0, 2 * tail / 2**number), EXACT
    rng = random.Random(0)
    reached = 0
    for _ in range(FLIPS):
        each = (d * (2 * rng.getrandbits(n).bit_count() - n) for d, n in counts.items())
        reached += abs(sum(each)) >= total
    return (1 + reached) / (1 + FLIPS), FLIPPED


def _at(ordered: Sequence[float], share: float) -> float:
    """The quantile of ordered values, interpolated."""
    place = share * (len(ordered) - 1)
    left = min(int(place), len(ordered) - 2)
    return ordered[left] + (place - left) * (ordered[left + 1] - ordered[left])


def below_t(t: float, freedom: int) -> float:
    """Return the CDF of Student's t, within 0.002 (with one degree of freedom, 0.008).

    Source: Wallace, Bounds on normal approximations to Student's and the chi-square
    distributions, Annals of Mathematical Statistics 1959, 30(4).

    >>> round(below_t(-2.262, 9), 3)
    0.025
    """
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.erfc(math.copysign(z, -t) / math.sqrt(2)) / 2


def quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t, the inverse of `below_t`, for a share of at least 0.5.

    >>> round(quantile(0.975, 9), 2)
    2.26
    """
    z = NormalDist().inv_cdf(share) * (8 * freedom + 3) / (8 * freedom + 1)
    return math.sqrt(freedom * math.expm1(z * z / freedom))


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
