"""Which state of a training counts, the last or the best, and that the other one is scored too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import ScoreInfo, SkybenchError, UsageError
from skybench.training import checkpoints
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


def settled(
    values: Sequence[float], **changes: Any
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], dict[str, Any]]:
    """The state that counts, those that were asked for beside it, and the facts."""
    left, others, seen = iter(values), list[dict[str, Tensor]](), list[nn.Module]()
    recipe = replace(RECIPE, epochs=len(values), **changes)

    def score() -> float:
        return next(left)

    def other(modules: Any) -> None:
        assert not any(module.training for module in modules)
        states = checkpoints.state_of(dict(zip(("head", "backbone"), modules, strict=True)))
        others.append({name: x.clone() for name, x in states.items()})

    made, state = trained(
        recipe, score=score, shown=seen, other_state=lambda: other(seen), score_info=ScoreInfo()
    )
    return state, others, made.facts()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("state", "counts"), [("last", 0), ("best-on-val", 1), ("best-on-test", 1), ("", 1)]
)
def test_the_other_state_is_shown_once_and_the_named_one_stays(state: str, counts: int) -> None:
    whole, _, _ = settled((10.0, 90.0, 70.0), state="last", validate=1)
    _, expected = scored((0.0, 90.0, 0.0), ScoreInfo())  # the state after epoch 2
    wanted = [trained(replace(RECIPE, epochs=3))[1], expected]
    assert same(whole, wanted[0])
    found, others, facts = settled((10.0, 90.0, 70.0), state=state, validate=1)
    assert same(found, wanted[counts])
    assert [same(other, wanted[1 - counts]) for other in others] == [True]
    assert (facts["best_epoch"], facts["last_epoch"]) == (2, 3)


def test_no_state_is_shown_where_the_last_is_the_best_or_nothing_is_scored() -> None:
    assert not settled((10.0, 70.0, 90.0), validate=1)[1]
    assert not settled((10.0, 70.0, 90.0), validate=1, state="last")[1]
    made, _ = trained(other_state=lambda: pytest.fail("there is one state"))
    assert "last_epoch" not in made.facts()


def test_a_best_state_is_sought_after_each_epoch_unless_stated() -> None:
    _, _, facts = settled((10.0, 90.0, 70.0), state="best-on-val")
    assert [epoch for epoch, _ in facts["validation"]] == [1, 2, 3]
    _, _, facts = settled((10.0, 90.0, 70.0), state="best-on-val", validate=2)
    assert [epoch for epoch, _ in facts["validation"]] == [2, 3]


def test_a_loss_that_still_falls_is_noted_of_the_state_that_counts() -> None:
    slow = replace(RECIPE, epochs=30, batch=11, lr=0.03, schedule="", weight_decay=0.0, validate=30)
    values = {"last": 0.0, "best-on-val": 0.0}
    for state in values:
        recipe = replace(slow, state=state, validate=1)
        left = iter([90.0] + [10.0] * 29)  # the best is the first
        made, _ = trained(recipe, dropout=0.0, score=lambda left=left: next(left))
        values[state] = made.facts().get("still_falling", 0.0)
    assert values["last"] > 0.1
    assert values["best-on-val"] == 0.0


def test_states_that_nothing_can_choose_are_refused() -> None:
    with pytest.raises(UsageError, match="Known: last, best-on-val, best-on-test"):
        trained(replace(RECIPE, state="best"))
    with pytest.raises(UsageError, match="nothing is scored"):
        trained(replace(RECIPE, state="best-on-val"))
