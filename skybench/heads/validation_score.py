"""The validation score by which classification heads select a hyperparameter."""

from __future__ import annotations

from torch import Tensor

from skybench.metrics.multilabel import mean_average_precision

UNCHOSEN = "no sample was left to choose on: a larger --limit or --fraction would leave some"


def selection_score(scores: Tensor, truth: Tensor) -> float:
    """Return the score in percent: OA for class ids [N], micro AP for classes [N, K].

    scores: [N, K].
    """
    if truth.ndim == 2:
        return mean_average_precision(scores.numpy(), truth.numpy())["map_micro"]
    return float((scores.argmax(1) == truth).float().mean() * 100)
