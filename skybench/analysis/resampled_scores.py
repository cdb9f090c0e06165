"""Scores of a cell under resampled test units: one set of weights for all that rests on them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.analysis import bootstrap
from skybench.core import Metric
from skybench.core.fingerprint import fingerprint_keys

Floats = NDArray[np.float64]
KEPT = 32_000_000  # weights: so many (32 MB) are kept for the next cell of the same samples


class ResampledScores(NamedTuple):
    """The scores of each seed under weights of the test units, by name; NaN: undefined."""

    identity: str  # sha256 of the samples' keys and units
    units: int
    drawn: Mapping[str, Floats]  # bootstrap replicates [seeds, B]; the main score may have more
    omitted: Mapping[str, Floats]  # without each unit in turn, see `bootstrap.omissions`


def resample_scores(
    metrics: Sequence[Metric],
    keys: Sequence[str],
    groups: Sequence[str],
    main: str,
    resamples: int,
    of_all: int = 0,
) -> ResampledScores:
    """Return the replicates of the main score, and of all scores under the first `of_all` weights.

    metrics: one a seed, each with the same test samples; keys, groups: of the samples, and of the
    unit of each, in the order of the samples. The weights are seeded by them, so that metrics of
    the same samples get the same, in whatever order these were read. Without `of_all` the main
    score alone is omitted from, too. A metric that has no such replicates of its main score gives
    none.
    """
    named = [k if k == g else f"{k} {g}" for k, g in zip(keys, groups, strict=True)]
    identity = fingerprint_keys(named)
    seed, only = int(identity[:8], 16), "" if of_all else main
    drawn: dict[str, list[Floats]] = {}
    done = 0
    few = len(groups) * resamples <= KEPT
    draw = _last_drawn if few else bootstrap.resamplings
    for drawn_weights in draw(tuple(groups), seed, resamples):
        weights = drawn_weights.astype(np.float64, copy=False)
        some = max(0, min(len(weights), of_all - done))
        done += len(weights)
        if some:
            _append(drawn, metrics, weights[:some], "")
        if some < len(weights) and (main in drawn or not of_all):
            _append(drawn, metrics, weights[some:], main)
    omitted: dict[str, list[Floats]] = {}
    for weights in bootstrap.omissions(groups, seed):
        _append(omitted, metrics, weights, only)
    return ResampledScores(identity, len(set(groups)), _joined(drawn), _joined(omitted))


@functools.lru_cache(maxsize=1)
def _last_drawn(groups: tuple[str, ...], seed: int, resamples: int) -> Sequence[NDArray[Any]]:
    """The weights of `bootstrap.resamplings` in the smallest type: no unit is drawn 256 times."""
    blocks = bootstrap.resamplings(groups, seed, resamples)
    return tuple(block.astype(np.min_scalar_type(int(block.max()))) for block in blocks)


def _append(
    found: dict[str, list[Floats]], metrics: Iterable[Metric], weights: Floats, only: str
) -> None:
    """Add the scores [seeds, B], all or one, under a block of weights [B, N]."""
    each = [_scores(metric, weights, only) for metric in metrics]
    for name in each[0]:
        found.setdefault(name, []).append(np.stack([scores[name] for scores in each]))


def _scores(metric: Metric, weights: Floats, only: str) -> Mapping[str, Floats]:
    if not only:
        return metric.scores(weights)
    if hasattr(metric, "main_score"):
        return {only: metric.main_score(weights)}
    return {only: metric.scores(weights)[only]}


def _joined(found: Mapping[str, list[Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate(blocks, axis=1) for name, blocks in found.items()}
