"""Which state of a training counts: the last, or the best on validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from skybench.core import ScoreInfo, SkybenchError, UsageError
from skybench.training.loop import Progress, TrainingResult

from ._training import RECIPE, trained

RMSE = ScoreInfo(False, "t/ha", 0.0, math.inf)
BIAS = ScoreInfo(None, "t/ha", -math.inf, math.inf)


def scored(
    values: Sequence[float], info: ScoreInfo, patience: int = 0
) -> tuple[TrainingResult, dict[str, Tensor]]:
    """A training that is validated after each epoch, with these scores."""
    left = iter(values)
    recipe = replace(RECIPE, epochs=len(values), validate=1, patience=patience)
    return trained(recipe, score=lambda: next(left), score_info=info)


@pytest.mark.parametrize(
    ("info", "values", "best"),
    [
        (ScoreInfo(), (50.0, 90.0, 70.0), 2),
        (ScoreInfo(), (90.0, 50.0, 90.0), 1),  # the first of equals
        (RMSE, (50.0, 20.0, 70.0), 2),
        (RMSE, (20.0, 50.0, 20.0), 1),
        (BIAS, (-9.0, 2.0, -1.0), 3),
    ],
)
def test_the_best_state_is_kept_whatever_the_direction_of_the_score(
    info: ScoreInfo, values: tuple[float, ...], best: int
) -> None:
    made, state = scored(values, info)
    assert made.facts()["best_epoch"] == best
    _, expected = scored([float(i + 1 == best) for i in range(len(values))], ScoreInfo())
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("info", "values", "epochs"),
    [
        (ScoreInfo(), (10.0, 30.0, 20.0, 30.0, 90.0), 4),
        (RMSE, (30.0, 10.0, 20.0, 10.0, 5.0), 4),
        (RMSE, (90.0, 30.0, 20.0, 10.0, 5.0), 5),
        (BIAS, (9.0, -3.0, 3.0, 4.0, 0.0), 4),
    ],
)
def test_patience_ends_a_training_that_gets_no_better(
    info: ScoreInfo, values: tuple[float, ...], epochs: int
) -> None:
    made, _ = scored(values, info, patience=2)
    assert made.steps == epochs * 3


def test_small_scores_are_not_rounded_to_nothing() -> None:
    made, _ = scored((3.25e-5, 1.125e-5, 2.5e-5), RMSE)
    assert made.facts()["validation"] == [[1, 3.25e-5], [2, 1.125e-5], [3, 2.5e-5]]
    made, _ = scored((33.333333, 50.0, 10.0), ScoreInfo())
    assert made.facts()["validation"][0] == [1, 33.3333]


def test_the_best_of_no_direction_is_nearest_to_0() -> None:
    at = Progress(scores=[[1, -3.0], [2, 2.0], [3, -2.0]])
    assert at.best(BIAS) == [2, 2.0]


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(SkybenchError, match="score on validation is nan"):
        trained(replace(RECIPE, validate=1), score=lambda: float("nan"))


def test_patience_without_scores_is_refused() -> None:
    with pytest.raises(UsageError, match="--set validate=N"):
        trained(replace(RECIPE, patience=2))


def test_epochs_are_repeated_up_to_the_least_number_of_steps() -> None:
    short = replace(RECIPE, epochs=1, min_steps=10)  # an epoch is 3 steps
    (made, numbers), (longer, expected) = trained(short), trained(replace(RECIPE, epochs=4))
    assert (made.steps, len(made.losses)) == (12, 4)
    assert made.losses == longer.losses  # the schedule is that of all steps
    assert all(torch.equal(numbers[name], expected[name]) for name in expected)
    assert made.facts()["min_steps"] == 10
    assert "min_steps" not in longer.facts()


def test_a_training_that_is_long_enough_is_not_changed() -> None:
    (made, numbers), (_, expected) = trained(replace(RECIPE, min_steps=9)), trained()
    assert made.steps == 9
    assert "min_steps" not in made.facts()
    assert all(torch.equal(numbers[name], expected[name]) for name in expected)
    stated = replace(RECIPE, iterations=2, min_steps=9)
    assert trained(stated)[0].steps == 2


def test_a_loss_that_still_falls_at_the_end_is_noted() -> None:
    slow = replace(RECIPE, epochs=30, batch=11, lr=0.03, schedule="", weight_decay=0.0)
    assert trained(slow, dropout=0.0)[0].facts()["still_falling"] > 0.1
    assert "still_falling" not in trained(replace(slow, lr=0.0), dropout=0.0)[0].facts()
    assert "still_falling" not in trained()[0].facts()  # 9 steps tell nothing
