"""95 % intervals of scores over the independent units of a test set.

Percentile intervals of few units are too narrow, and those of a score near its bound reach beyond
it. So the interval is symmetric on the scale on which a score has no bounds (the logit of a
percentage), as wide as Student's t asks for, with the freedom that the units really give. Shares
of single samples (accuracy) have Wilson's interval, which has a width without any error too.
`skybench bench statistics` measures how often they hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.analysis import bootstrap, replicates
from skybench.analysis.replicates import Replicates, replicates_of
from skybench.analysis.resampled_scores import resample_scores
from skybench.analysis.spread import Spread, spread_of, too_few
from skybench.core import Metric, ScoreInfo, score_info

Z = 1.959963984540054  # of the normal distribution at 97.5 %
ROUNDING = 1e-12  # of the variance of equal numbers
FARTHEST = 700.0  # the exponential function of more overflows


class Interval(NamedTuple):
    """A 95 % interval over independent units, and the standard error."""

    low: float
    high: float
    error: float


class Uncertainty(NamedTuple):
    """What resampling says about the scores of a cell."""

    units: int  # independent: images, scenes, cubes
    intervals: Mapping[str, Interval]
    errors: Mapping[str, float]  # standard, also where the units are too few for an interval
    note: str  # why there are no intervals; "" where there are
    replicates: Replicates | None = None  # of the main score, from the same draws


def uncertainty(
    metrics: Sequence[Metric], groups: Sequence[str], keys: Sequence[str] = ()
) -> Uncertainty:
    """Return intervals and standard errors of all scores, averaged over seeds.

    metrics: one a seed, each with the same test samples in the same order; groups: the independent
    unit of each sample (see `core.dataset.groups_of`); keys: of the samples, by default as the
    units. A resample draws the same units for all.
    Fewer than 5 units have no interval, nor has a score that is undefined without one of them, or
    that a metric gives without weights only (means over batches).
    """
    if not groups:  # nothing was scored
        return Uncertainty(0, {}, {}, "")
    _, units = bootstrap.unit_indices(groups)
    note = too_few(units)
    if units < 2:
        return Uncertainty(units, {}, {}, note)
    every, keys = [metric.scores() for metric in metrics], keys or groups
    main = next(iter(every[0]))
    resampled = resample_scores(
        metrics, keys, groups, main, replicates.RESAMPLES, bootstrap.RESAMPLES
    )
    intervals, errors = {}, {}
    for name, drawn in resampled.drawn.items():
        value = _mean(scores[name] for scores in every)
        omitted = resampled.omitted[name].mean(0)
        if spread := spread_of(value, drawn.mean(0).tolist(), omitted.tolist(), units):
            errors[name] = spread.error
            low, high = named_interval(metrics, name, value, spread, groups)
            intervals[name] = Interval(low, high, spread.error)
    values = [float(scores[main]) for scores in every]
    made = None  # of a main score without replicates
    if main in resampled.drawn:
        made = replicates_of(resampled, metrics, main, values, keys)
    return Uncertainty(units, {} if note else intervals, errors, note, made)


def named_interval(
    metrics: Sequence[Metric], name: str, value: float, spread: Spread, groups: Sequence[str]
) -> tuple[float, float]:
    """Return the 95 % interval of a score by its name; value: its mean over seeds."""
    units = len(set(groups))
    hits = _mean_hits(metrics) if units == len(groups) else {}
    if name in hits:
        low, high = share_interval(hits[name])
        return 100 * low, 100 * high
    return score_interval(value, spread, score_info(metrics[0], name), units)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean([*values]))


def score_interval(
    value: float, spread: Spread, info: ScoreInfo, units: int
) -> tuple[float, float]:
    """Return the 95 % interval of a score of these bounds.

    A score at its bound in all units has no variance; its interval reaches as far as that of a
    share with no error in as many units (Wilson).

    >>> [round(bound, 1) for bound in score_interval(100, Spread(0.0, 9), ScoreInfo(), 10)]
    [72.2, 100.0]
    """
    low, high = info.low, info.high
    bounded = math.isfinite(low) and math.isfinite(high)
    if bounded and value in (low, high):
        inside = (high - low) * Z**2 / (units + Z**2)
        return (low, low + inside) if value == low else (high - inside, high)
    if bounded:
        share = (value - low) / (high - low)
        middle, reach = math.log(share / (1 - share)), spread.reach / (value - low) / (1 - share)
        ends = (middle - reach, middle + reach)
        return _between(ends[0], low, high), _between(ends[1], low, high)
    if math.isfinite(low) and value > low:
        factor = math.exp(min(spread.reach / (value - low), FARTHEST))
        return low + (value - low) / factor, low + (value - low) * factor
    if math.isfinite(high) and value < high:
        factor = math.exp(min(spread.reach / (high - value), FARTHEST))
        return high - (high - value) * factor, high - (high - value) / factor
    return value - spread.reach, value + spread.reach


def _between(logit: float, low: float, high: float) -> float:
    bounded = max(-FARTHEST, min(FARTHEST, logit))
    return low + (high - low) / (1 + math.exp(-bounded))


def _mean_hits(metrics: Sequence[Metric]) -> dict[str, NDArray[np.float64]]:
    """The hits of samples by score, where all metrics say so; averaged over seeds."""
    given = [metric.shares() for metric in metrics if hasattr(metric, "shares")]
    if len(given) < len(metrics):
        return {}
    return {name: np.mean([one[name] for one in given], axis=0) for name in given[0]}


def share_interval(hits: NDArray[np.float64]) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of independent samples, in 0..1.

    hits: [samples], 0 or 1, or a mean of these over seeds.

    >>> [round(bound, 4) for bound in share_interval(np.array([1.0] * 99 + [0.0]))]
    [0.9455, 0.9982]
    """
    share, square = float(hits.mean()), float(hits.var())
    # Of several seeds a sample's mean varies less than a single 0 or 1: it counts as more samples.
    number = len(hits) * (max(1.0, share * (1 - share) / square) if square > ROUNDING else 1.0)
    middle = (share + Z**2 / 2 / number) / (1 + Z**2 / number)
    half = math.sqrt(share * (1 - share) / number + (Z / 2 / number) ** 2) * Z / (1 + Z**2 / number)
    # At 0 and 1 an end is the share itself, but for rounding.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))
