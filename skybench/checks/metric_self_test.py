"""The self-test of a metric: ground truth as prediction must give the best score."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from skybench.core import Metric, SkybenchError


def check_metric(metric: Metric, targets: Iterable[tuple[str, Any]]) -> None:
    """Feeds the truth, by key, as prediction: the main score must be 100.

    A metric whose perfect prediction is not the truth itself has a method `perfect(target)`.

    Raises SkybenchError where it is not: then no score of this metric can be believed.
    """
    trial = metric.fresh()
    answer = getattr(trial, "perfect", _without_ignored)
    for key, target in targets:
        trial.update(answer(target), target, key)
    name, score = next(iter(trial.scores().items()))
    if not math.isclose(score, 100.0, abs_tol=1e-9):
        raise SkybenchError(
            f"The metric's self-test failed: the truth as prediction gives {name} = {score}, "
            "expected 100. Check the targets (a test split without any labelled pixel?)."
        )


def _without_ignored(target: Any) -> Any:
    """A prediction equal to the truth; ignored pixels get class 0, which must not matter."""
    return target * (target != 255) if getattr(target, "ndim", 0) else target
