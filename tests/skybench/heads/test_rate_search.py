from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.core import Diverged, FitContext, Head, Recipe, ScoreInfo, Source, UsageError
from skybench.heads.dense import Dense, Linear
from skybench.heads.rate_search import check_rates, choose_rate, search_steps

RATES = ("1e-1", "1e-3", "1e-2")  # not in order
RECIPE = Recipe("linear", val="", epochs=20, min_steps=1000, batch=16, lr=5e-3, rates=RATES)


class Samples:
    """Numbered samples with one map each; see core.Source."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Sequence[int]) -> Samples:
        return Samples([self.indices[i] for i in indices])

    def prefetch(self, indices: Sequence[int]) -> None: ...

    def pooled(self) -> Tensor:
        raise NotImplementedError

    def labels(self) -> Tensor:
        raise NotImplementedError

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The class of a pixel is the sign of the second channel; the first is noise."""
        made = [torch.Generator().manual_seed(self.indices[i]) for i in indices]
        return (torch.stack([torch.randn(2, 4, 4, generator=g) for g in made]),)

    def target(self, index: int) -> Any:
        return (self.pyramid([index])[0][0, 1] > 0).numpy().astype(np.uint8)


class Noted:
    """A head that notes what it is given and whose score is looked up by its rate."""

    fitted: list[Noted]

    def __init__(self, recipe: Recipe, bad: float = 0.0) -> None:
        self.recipe, self.bad = recipe, bad

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        assert isinstance(train, Samples)
        self.train, self.val, self.setting = train, val, setting
        setting.report("training, loss 1", 1, 2)
        if self.recipe.lr == self.bad:
            raise Diverged("the loss became nan")
        return {}

    def predict(self, test: Source) -> Iterator[Any]:
        raise NotImplementedError


class Study:
    """A search over made-up scores of rates."""

    def __init__(self, scores: Mapping[float, float], bad: float = 0.0, **setting: Any) -> None:
        self.heads: list[Noted] = []
        self.held: list[list[int]] = []
        self.said: list[str] = []
        self.scores, self.bad = scores, bad
        self.setting = FitContext(
            0, validation_score=self.score, report=lambda what, *_: self.said.append(what),
            **setting,
        )  # fmt: skip

    def score(self, head: Head, val: Source) -> float:
        assert isinstance(head, Noted)
        assert isinstance(val, Samples)
        self.held.append(val.indices)
        return self.scores[head.recipe.lr]

    def build(self, recipe: Recipe) -> Noted:
        self.heads.append(Noted(recipe, self.bad))
        return self.heads[-1]

    def choose(self, recipe: Recipe = RECIPE, count: int = 20) -> tuple[Recipe, dict[str, Any]]:
        return choose_rate(recipe, Samples(range(count)), self.setting, self.build)


def test_the_best_rate_on_held_out_samples_is_chosen() -> None:
    study = Study({1e-3: 40.0, 1e-2: 60.0, 1e-1: 50.0})
    recipe, told = study.choose()
    assert recipe == replace(RECIPE, lr=1e-2, rates=())
    assert told == {
        "rate": 1e-2, "sweep": {"1e-3": 40.0, "1e-2": 60.0, "1e-1": 50.0}, "rate_steps": 500,
    }  # fmt: skip
    assert [h.recipe.lr for h in study.heads] == [1e-3, 1e-2, 1e-1]
    assert all(h.recipe.steps(16) == 500 and h.recipe.rates == () for h in study.heads)


def test_of_equal_scores_the_lower_rate_is_chosen() -> None:
    assert Study(dict.fromkeys((1e-3, 1e-2, 1e-1), 50.0)).choose()[0].lr == 1e-3


def test_an_error_is_minimised() -> None:
    study = Study({1e-3: 4.0, 1e-2: 6.0, 1e-1: 5.0}, score_info=ScoreInfo(False, "m"))
    assert study.choose()[0].lr == 1e-3


def test_each_rate_sees_the_same_four_fifths_and_is_scored_on_the_rest() -> None:
    study = Study(dict.fromkeys((1e-3, 1e-2, 1e-1), 50.0))
    study.choose()
    assert len(study.held[0]) == 4
    assert study.held == [study.held[0]] * 3
    for head in study.heads:
        assert sorted(head.train.indices + study.held[0]) == list(range(20))
        assert head.val is None


def test_whole_units_are_held_out() -> None:
    groups = [f"image{i // 4}" for i in range(20)]
    study = Study(dict.fromkeys((1e-3, 1e-2, 1e-1), 50.0), groups=groups)
    study.choose()
    assert len({groups[i] for i in study.held[0]}) == 1
    assert len(study.held[0]) == 4


def test_the_search_depends_on_the_seed_alone() -> None:
    held = []
    for seed in (0, 0, 1):
        study = Study(dict.fromkeys((1e-3, 1e-2, 1e-1), 50.0))
        study.setting = study.setting._replace(seed=seed)
        study.choose()
        held.append(study.held[0])
    assert held[0] == held[1] != held[2]


def test_a_rate_that_diverges_loses() -> None:
    recipe, told = Study({1e-2: 60.0, 1e-1: 50.0}, bad=1e-3).choose()
    assert recipe.lr == 1e-2
    assert told["sweep"]["1e-3"] is None


def test_without_any_score_the_rate_of_the_recipe_stays_with_a_note() -> None:
    recipe, told = Study(dict.fromkeys((1e-3, 1e-2, 1e-1), math.nan)).choose()
    assert recipe == replace(RECIPE, rates=())
    assert "not chosen" in told["note"]
    assert "rate" not in told


def test_a_single_sample_cannot_be_held_out() -> None:
    study = Study({})
    recipe, told = study.choose(count=1)
    assert recipe == replace(RECIPE, rates=())
    assert "not chosen" in told["note"]
    assert not study.heads


def test_without_rates_nothing_is_searched() -> None:
    study = Study({})
    plain = replace(RECIPE, rates=())
    assert study.choose(plain) == (plain, {})
    assert not study.heads


def test_the_search_leaves_nothing_behind_and_reports_which_rate_it_is_at(tmp_path: Path) -> None:
    study = Study(
        dict.fromkeys((1e-3, 1e-2, 1e-1), 50.0), folder=tmp_path, keep_weights=True,
        tensorboard=True,
    )  # fmt: skip
    study.choose(replace(RECIPE, validate=2, patience=3, state="best-on-val"))
    for head in study.heads:
        assert head.setting.folder is None
        assert not head.setting.keep_weights
        assert not head.setting.tensorboard
        assert (head.recipe.validate, head.recipe.patience, head.recipe.state) == (0, 0, "")
    assert study.said == [
        f"rate {n}/3 ({rate}), training, loss 1"
        for n, rate in ((1, "1e-3"), (2, "1e-2"), (3, "1e-1"))
    ]


@pytest.mark.parametrize(
    ("steps", "rates", "expected"),
    [(1000, 3, 500), (100_000, 3, 500), (60, 3, 40), (60, 1, 60), (1000, 8, 250), (1, 3, 1)],
)
def test_all_rates_together_cost_at_most_twice_the_training(
    steps: int, rates: int, expected: int
) -> None:
    recipe = replace(RECIPE, iterations=steps, rates=tuple(f"{i + 1}e-3" for i in range(rates)))
    assert search_steps(recipe, 100) == expected
    assert search_steps(replace(recipe, rates=()), 100) == 0


@pytest.mark.parametrize("rate", ["0", "-1e-3", "nan", "inf", "fast", ""])
def test_a_rate_must_be_a_positive_number(rate: str) -> None:
    with pytest.raises(UsageError, match="positive number"):
        check_rates(replace(RECIPE, rates=("1e-3", rate)), trains_backbone=False)


def test_rates_of_a_trained_backbone_are_refused() -> None:
    check_rates(RECIPE, trains_backbone=False)
    check_rates(replace(RECIPE, rates=()), trains_backbone=True)
    with pytest.raises(UsageError, match="frozen backbone"):
        check_rates(RECIPE, trains_backbone=True)


def test_rates_of_a_head_that_is_not_trained_step_by_step_are_refused() -> None:
    with pytest.raises(UsageError, match="no learning rate"):
        check_rates(Recipe("knn", rates=RATES), trains_backbone=False)


def test_a_rate_too_low_to_learn_in_the_steps_given_is_not_chosen() -> None:
    """With a real head: the share of held-out pixels that are right decides."""
    recipe = Recipe("linear", iterations=20, batch=4, lr=1.0, rates=("1e-6", "1e-1"))

    def score(head: Head, val: Source) -> float:
        answers = enumerate(head.predict(val))
        return float(np.mean([(a == val.target(i)).mean() for i, a in answers]) * 100)

    chosen, told = choose_rate(
        recipe,
        Samples(range(20)),
        FitContext(0, validation_score=score),
        lambda r: Dense(Linear, ((2, 4),), 2, r),
    )
    assert chosen.lr == 0.1
    assert told["sweep"]["1e-1"] > 80 > told["sweep"]["1e-6"]
