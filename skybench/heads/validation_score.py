"""The validation score by which classification heads select a hyperparameter."""

from __future__ import annotations

from torch import Tensor

from skybench.metrics.multilabel import micro_average_precision

UNCHOSEN = "no sample was left to choose on: a larger --limit or --fraction would leave some"


def selection_score(scores: Tensor, truth: Tensor) -> float:
    """Return the score in percent: OA for class ids [N], micro AP for classes [N, K].

    scores: [N, K], on the CPU. Only this score is computed, by one sort.
    """
    if truth.ndim == 2:
        return micro_average_precision(scores.numpy(), truth.numpy())
    return float((scores.argmax(1) == truth).float().mean() * 100)
