"""The self-test of a metric: ground truth as prediction must give the best score."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

from skybench.core import Metric, ScoreInfo, SkybenchError, Target, infer_target, score_info

TOLERANCE = 1e-9  # absolute, and relative to the best score


def check_metric(
    metric: Metric, targets: Iterable[tuple[str, Any]], declared: Target | None = None
) -> ScoreInfo:
    """Feed the truth, by key, as prediction: the main score must be the best one possible.

    Returns the description of the main score.

    declared: the kind of the targets, by which elements without a label are known; None: inferred.
    A metric whose perfect prediction is not the truth itself has a method `perfect(target)`, one
    whose best score depends on the truth a method `attainable()`. With an infinite best score, any
    score but NaN passes.

    Raises SkybenchError where it is not: then no score of this metric can be believed.
    """
    trial = metric.fresh()
    try:
        _feed(trial, targets, declared)
        name, score = next(iter(trial.scores().items()))
    except ValueError as error:
        raise SkybenchError(
            f"The metric's self-test failed: it refuses the truth as prediction: {error}"
        ) from error
    info = score_info(trial, name)
    best = trial.attainable() if hasattr(trial, "attainable") else info.best
    right = math.isclose(score, best, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if not right and (math.isfinite(best) or math.isnan(score)):
        raise SkybenchError(
            f"The metric's self-test failed: the truth as prediction gives {name} = {score}, "
            f"expected {best:g}. Check the targets (a test split without any labelled element?)."
        )
    return info


def _feed(
    trial: Metric, targets: Iterable[tuple[str, Any]], declared: Target | None = None
) -> None:
    perfect = getattr(trial, "perfect", None)
    for key, target in targets:
        kind = declared or infer_target(target)
        trial.update(perfect(target) if perfect else without_ignored(target, kind), target, key)


def without_ignored(target: Any, kind: Target) -> Any:
    """Return a prediction equal to the truth, with 0 at ignored elements, which must not count."""
    if kind.ignore is None or not kind.spatial:
        return target
    ignored = target == kind.ignore
    if "int" not in str(target.dtype):
        ignored |= target != target  # NaN does not equal itself
    if not ignored.any():
        return target
    prediction = copy.deepcopy(target)
    prediction[ignored] = 0
    return prediction
