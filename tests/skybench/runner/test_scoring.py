"""The states of a training in records: the last, the best on validation, the best on the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.analysis.replicates import load_replicates
from skybench.checks import metric_self_test
from skybench.core import FAULTS, Record, loaded
from skybench.metrics.accuracy import Accuracy
from skybench.plan.request import Request
from skybench.records import store
from skybench.runner import scoring
from skybench.runner.run_cells import run_cells
from skybench.training import checkpoints
from skybench.training.distributed import SINGLE_PROCESS

from ._finetuned import BASE, run

THREE = {"epochs": "3"}
EPOCHS = (10.0, 90.0, 70.0)  # the scores on validation that are given


class Killed(BaseException):
    """What ends a run in the middle."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The scores on validation, in the order of epochs; none left kills the run."""
    left: list[float] = []

    def scores(*_: Any) -> list[float]:
        if not left:
            raise Killed
        return [left.pop(0)]

    monkeypatch.setattr(scoring, "_scores", scores)
    return left


def states(record: Record) -> dict[str, float]:
    return {name: scores["oa"] for name, scores in record.used["states"].items()}


def test_both_states_are_recorded_and_the_named_one_counts(
    tmp_path: Path, given: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    given += EPOCHS
    best = run(tmp_path / "best", overrides={**THREE, "state": "best-on-val"}, draw=0)
    given += EPOCHS
    last = run(tmp_path / "last", overrides={**THREE, "validate": "1", "state": "last"}, draw=0)
    assert (best.used["state"], last.used["state"]) == ("best-on-val", "last")
    assert best.used["states"] == last.used["states"]
    assert best.scores == best.used["states"]["best-on-val"]
    assert last.scores == best.used["states"]["last"]
    assert best.scores != last.scores  # or the next lines would show nothing
    for record in (best, last):
        (seed,) = record.seeds
        assert seed["states"] == record.used["states"]
        assert seed["scores"] == record.scores
        assert (seed["chosen"]["best_epoch"], seed["chosen"]["last_epoch"]) == (2, 3)
        assert seed["chosen"]["chosen_on"] == "a held-out fifth of train"
        stored = store.find_record(tmp_path / record.used["state"][:4], record.path)
        assert stored is not None
        assert stored.used["states"] == record.used["states"]
    assert best.fingerprint != last.fingerprint

    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    request = replace(
        BASE, results=tmp_path / "again", overrides={**THREE, "state": "best-on-val"}, draw=0
    )
    given += EPOCHS[:2]
    with pytest.raises(Killed):
        run_cells(request)
    given += EPOCHS[2:]
    (resumed,) = run_cells(request)
    chosen = dict(resumed.seeds[0]["chosen"])
    assert chosen.pop("resumed") == 1
    assert chosen == best.seeds[0]["chosen"]
    assert (resumed.scores, resumed.used["states"]) == (best.scores, best.used["states"])


def test_the_best_on_the_test_is_red_and_learns_from_all_of_train(tmp_path: Path) -> None:
    record = run(tmp_path, overrides={**THREE, "state": "best-on-test"}, draw=0, keep_weights=True)
    assert record.samples == {"train": 20, "val": 0, "test": 20}
    chosen = record.seeds[0]["chosen"]
    top = max(chosen["validation"], key=lambda pair: pair[1])
    assert record.scores["oa"] == top[1] == states(record)["best-on-test"]
    assert states(record)["last"] == chosen["validation"][-1][1]
    assert record.used["state"] == "best-on-test"
    assert chosen["chosen_on"] == "test"
    (kept,) = tmp_path.rglob(checkpoints.KEPT_FILE)
    about = torch.load(kept, weights_only=True)[loaded.KEPT]
    assert len(set(about["train"].tolist())) == 40  # who tests them on these images again is told
    assert "chosen on the test" in {*record.flags} & FAULTS
    assert "chosen on the test: training was scored on the test" in record.note


def test_validation_on_the_test_is_called_what_it_is(tmp_path: Path) -> None:
    watched = {"val": "test", "state": "best-on-val", "epochs": "1"}
    record = run(tmp_path, overrides=watched, draw=0)
    assert record.used["state"] == "best-on-test"
    assert "chosen on the test" in record.flags


def test_without_scores_in_training_there_is_the_last_state(tmp_path: Path) -> None:
    record = run(tmp_path, overrides={"epochs": "1"}, draw=0)
    assert record.used["state"] == "last"
    assert "states" not in record.used
    assert "states" not in record.seeds[0]
    assert "chosen_on" not in record.seeds[0]["chosen"]


class Numbered:
    """A head that answers the index of each sample."""

    def predict(self, test: Sequence[int]) -> Iterator[int]:
        yield from test


def test_predictions_of_one_process_come_in_order() -> None:
    alone: Any = type("Alone", (), {"rank": 0, "size": 1})
    head: Any = Numbered()
    assert [*scoring.predictions(head, range(5), alone)] == [0, 1, 2, 3, 4]  # type: ignore[arg-type]


def test_one_self_test_serves_all_seeds_and_replicates_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests, original = [], metric_self_test.check_metric

    def counted(*arguments: Any) -> Any:
        tests.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(scoring, "check_metric", counted)
    request = Request(
        models=["image_stats", "rcf"], tasks=["scene_classification"], datasets=["eurosat"],
        data="demo", protocol="knn", limit=40, results=tmp_path, seeds=2,
    )  # fmt: skip
    records = run_cells(request)
    assert [len(record.seeds) for record in records] == [2, 2]
    assert len(tests) == 2  # one a cell
    for record in records:
        made = load_replicates(record, tmp_path)
        path = tmp_path / record.path.with_suffix(store.DRAWS)
        assert made.value == pytest.approx(record.scores["oa"], abs=1e-4)
        path.unlink()  # the same is made from the predictions
        assert load_replicates(record, tmp_path) == made


class Halved(Accuracy):
    """A metric with a cheap main score."""

    def fresh(self) -> Halved:
        return Halved(self.classes)

    def main_score(self, weights: Any = None) -> Any:
        return 12.5


class Answers:
    def __init__(self, first: int = 0) -> None:
        self.first = first

    def predict(self, val: Any) -> Iterator[int]:
        yield from (self.first, 1)


def test_validation_asks_for_the_main_score_alone() -> None:
    val: Any = type("Val", (), {"target": lambda _, i: 0, "indices": (0, 1)})()
    scores: Any = scoring._scores
    alone: Any = SINGLE_PROCESS
    assert scores(Halved(), ("a", "b"), alone, [Answers()], val) == [12.5]
    assert scores(Accuracy(), ("a", "b"), alone, [Answers(), Answers(1)], val) == [50.0, 0.0]
