"""One set of draws: which scores have how many replicates, and of which weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skybench.analysis import bootstrap, resampled_scores
from skybench.analysis.intervals import uncertainty
from skybench.analysis.replicates import RESAMPLES, make_replicates
from skybench.analysis.resampled_scores import resample_scores
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.multilabel import MultiLabel

KEYS = [f"image{i}" for i in range(12)]


class Counting(Accuracy):
    """A metric that remembers the weights under which it was scored."""

    def __init__(self, classes: tuple[str, ...] = ()) -> None:
        super().__init__(classes)
        self.rows = {"all": 0, "main": 0}

    def scores(self, weights: Any = None) -> dict[str, Any]:
        self.rows["all"] += 0 if weights is None else len(weights)
        return super().scores(weights)

    def main_score(self, weights: Any = None) -> Any:
        self.rows["main"] += 0 if weights is None else len(weights)
        return super().scores(weights)["oa"]


def filled(metric: Any) -> Any:
    for i in range(12):
        metric.update(int(i % 3 == 0), int(i % 4 == 0))
    return metric


def labels() -> MultiLabel:
    rng = np.random.default_rng(0)
    metric = MultiLabel(("a", "b"), 0)
    for _ in KEYS:
        metric.update(rng.random(2), rng.random(2) < 0.6)
    return metric


@pytest.mark.parametrize("block", [12 * 8, 12 * 10**6])
def test_all_scores_have_some_replicates_and_the_main_score_more(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "BLOCK", block)
    monkeypatch.setattr(resampled_scores, "KEPT", 0)
    metric = filled(Counting())
    found = resample_scores([metric], KEYS, KEYS, "oa", 50, 30)
    assert {name: each.shape for name, each in found.drawn.items()} == {
        "oa": (1, 50),
        "aa": (1, 30),
    }
    assert {each.shape for each in found.omitted.values()} == {(1, 12)}
    assert metric.rows == {"all": 30 + 12, "main": 20}  # each weight is scored once
    alone = resample_scores([metric], KEYS, KEYS, "oa", 50)
    assert [*alone.drawn] == [*alone.omitted] == ["oa"]
    np.testing.assert_array_equal(alone.drawn["oa"], found.drawn["oa"])
    assert metric.rows == {"all": 42, "main": 20 + 50 + 12}


def test_intervals_and_replicates_rest_on_the_same_draws() -> None:
    metric = labels()
    made = uncertainty([metric], KEYS, KEYS).replicates
    assert made is not None
    assert len(made.values) == RESAMPLES
    assert made == make_replicates([metric], "map_micro", KEYS, KEYS)
    other = make_replicates([metric], "map_macro", KEYS, KEYS)  # not the main score
    assert other.score == "map_macro"
    assert other.values != made.values


def test_a_main_score_without_replicates_has_none() -> None:
    class Unweighted(MultiLabel):
        def scores(self, weights: Any = None) -> dict[str, Any]:
            found = super().scores(weights)
            return ({"own": 1.0} if weights is None else {}) | found

    metric = Unweighted(("a", "b"), 0)
    whole = labels()
    metric.predicted, metric.true = whole.predicted, whole.true
    found = uncertainty([metric], KEYS)
    assert found.replicates is None
    assert {"map_micro", "map_macro"} == {*found.intervals}


def test_seeds_are_kept_apart() -> None:
    one, other = filled(Accuracy()), other_seed()
    found = resample_scores([one, other], KEYS, KEYS, "oa", 20, 20)
    assert found.drawn["oa"].shape == (2, 20)
    alone = resample_scores([other], KEYS, KEYS, "oa", 20, 20)
    np.testing.assert_array_equal(found.drawn["oa"][1], alone.drawn["oa"][0])


def other_seed() -> Accuracy:
    metric = Accuracy()
    for i in range(12):
        metric.update(int(i % 5 == 0), int(i % 4 == 0))
    return metric


def test_records_of_the_same_samples_share_their_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    original = bootstrap._counts

    def counted(rng: Any, units: int, rows: int) -> Any:
        drawn.append(rows)
        return original(rng, units, rows)

    monkeypatch.setattr(bootstrap, "_counts", counted)
    keys = [f"{key} of this test" for key in KEYS]
    for _ in range(3):
        resample_scores([filled(Accuracy())], keys, keys, "oa", 40)
    assert sum(drawn) == 40
    resample_scores([filled(Accuracy())], keys[::-1], keys[::-1], "oa", 40)
    assert sum(drawn) == 80  # in another order the columns are others


def test_kept_weights_are_the_drawn_ones_in_bytes() -> None:
    kept = resampled_scores._last_drawn(tuple(KEYS), 7, 30)
    assert {block.dtype for block in kept} == {np.dtype(np.uint8)}
    drawn = [*bootstrap.resamplings(KEYS, 7, 30)]
    np.testing.assert_array_equal(np.concatenate(kept), np.concatenate(drawn))
