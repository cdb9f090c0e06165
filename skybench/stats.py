"""Uncertainty of a score: the images of the test set are what is resampled.

Pixel-level resampling gives intervals many times too narrow, because pixels of one image are
not independent (`docs/log.md`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from skybench.core import Metric

RESAMPLES = 1000


class Interval(NamedTuple):
    """A 95 % percentile bootstrap interval over images and its standard error, in percent."""

    low: float
    high: float
    error: float


def resamplings(images: int, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each image is drawn: float64 [resamples, images], rows sum to `images`.

    Multinomial draws equal drawing `images` images with replacement.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def intervals(metrics: Sequence[Metric], images: int, seed: int = 0) -> Mapping[str, Interval]:
    """An interval for the mean of every score over seeds.

    metrics: one a seed, each with the same `images` test images in the same order; a resample
    draws the same images for all of them.
    A resample in which a score is undefined (no pixel of any class) is left out of its interval;
    a score that is undefined in all of them has none.
    """
    weights = resamplings(images, seed)
    drawn = [metric.scores(weights) for metric in metrics]
    found = {}
    for name in drawn[0]:
        values = np.mean([scores[name] for scores in drawn], axis=0)
        known = values[~np.isnan(values)]
        if known.size > 1:
            low, high = np.percentile(known, [2.5, 97.5])
            found[name] = Interval(float(low), float(high), float(known.std(ddof=1)))
    return found


def spread(values: list[float]) -> float:
    """The sample standard deviation over seeds; 0 for one seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
