from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skybench.core import Diverged, FitContext, Head, Recipe, ScoreInfo, Source
from skybench.data.subsampling import hold_out
from skybench.heads.dense import Dense, Linear, UPerNet, classify
from skybench.heads.rate_search import HELD_OUT, choose_rate, search_steps

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
            0, validation_scores=self.score, report=lambda what, *_: self.said.append(what),
            **setting,
        )  # fmt: skip

    def score(self, heads: Sequence[Head], val: Source) -> list[float]:
        assert isinstance(val, Samples)
        self.held.append(val.indices)
        return [self.scores[head.recipe.lr] for head in heads if isinstance(head, Noted)]

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
    assert len(study.held) == 1  # heads predict side by side
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


def test_the_search_leaves_nothing_behind_and_reports_which_rates_it_tries(tmp_path: Path) -> None:
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
    assert study.said == ["rates 1e-3, 1e-2, 1e-1: training, loss 1"]  # of three the first


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


def mean_accuracy(heads: Sequence[Head], val: Source) -> list[float]:
    """The share of pixels that are right, in percent, of heads that predict side by side."""
    answers = enumerate(zip(*(head.predict(val) for head in heads), strict=True))
    right = [[np.mean(a == val.target(i)) for a in made] for i, made in answers]
    return [float(share) * 100 for share in np.mean(right, 0)]


def test_a_rate_too_low_to_learn_in_the_steps_given_is_not_chosen() -> None:
    """With a real head: the share of held-out pixels that are right decides."""
    recipe = Recipe("linear", iterations=20, batch=4, lr=1.0, rates=("1e-6", "1e-1"))
    chosen, told = choose_rate(
        recipe,
        Samples(range(20)),
        FitContext(0, validation_scores=mean_accuracy),
        lambda r: Dense(Linear, ((2, 4),), 2, r),
    )
    assert chosen.lr == 0.1
    assert told["sweep"]["1e-1"] > 80 > told["sweep"]["1e-6"]


class Counted(Samples):
    """Samples of which reads of features are counted, by sample."""

    def __init__(self, indices: Sequence[int], read: Counter[int] | None = None) -> None:
        super().__init__(indices)
        self.read: Counter[int] = Counter() if read is None else read

    def subset(self, indices: Sequence[int]) -> Counted:
        return Counted([self.indices[i] for i in indices], self.read)

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        self.read.update(self.indices[i] for i in indices)
        return super().pyramid(indices)

    def target(self, index: int) -> Any:
        return (Samples.pyramid(self, [index])[0][0, 1] > 0).numpy().astype(np.uint8)


@pytest.mark.parametrize("build", [Linear, UPerNet])
def test_heads_of_all_rates_read_features_once_and_learn_as_each_alone(
    build: Callable[..., nn.Module],
) -> None:
    """UPerNet draws dropout, whose random state each rate has to itself."""
    recipe = Recipe("frozen", epochs=4, batch=6, lr=1.0, width=4, rates=("1e-3", "1e-2", "1e-1"))
    heads: list[Dense] = []

    def made(r: Recipe) -> Dense:
        heads.append(Dense(build, ((2, 4),), 2, r))
        return heads[-1]

    source = Counted(range(20))
    setting = FitContext(3, validation_scores=mean_accuracy)
    _, told = choose_rate(recipe, source, setting, made)
    assert told["rate_steps"] == 10
    # For the standardisation, in three epochs and a step more, and those that are held out.
    assert source.read.total() == 16 + 3 * 16 + 6 + 4
    stay, out = hold_out((0,) * 20, HELD_OUT, 3, ())
    train, held = source.subset(stay), source.subset(out)
    for head, rate in zip(heads[:3], ("1e-3", "1e-2", "1e-1"), strict=True):
        alone = Dense(build, ((2, 4),), 2, head.recipe)
        alone.fit(train, None, setting)
        for name, value in alone.head[1].state_dict().items():
            assert torch.equal(head.head[1].state_dict()[name], value), name
        assert mean_accuracy([alone], held) == [pytest.approx(told["sweep"][rate], abs=1e-4)]


def test_a_rate_that_diverges_leaves_those_in_step_alone() -> None:
    def made(r: Recipe) -> Dense:
        answer = classify()
        if r.lr == 1e-2:
            answer = answer._replace(loss=lambda maps, masks: maps.sum() * math.nan)
        return Dense(Linear, ((2, 4),), 2, r, answer)

    recipe = Recipe("linear", iterations=20, batch=4, lr=1.0, rates=("1e-6", "1e-2", "1e-1"))
    setting = FitContext(0, validation_scores=mean_accuracy)
    chosen, told = choose_rate(recipe, Samples(range(20)), setting, made)
    without = replace(recipe, rates=("1e-6", "1e-1"), iterations=told["rate_steps"])
    assert told["sweep"]["1e-2"] is None
    _, expected = choose_rate(without, Samples(range(20)), setting, made)
    assert told["sweep"] == {**expected["sweep"], "1e-2": None}
    assert chosen.lr == 0.1
