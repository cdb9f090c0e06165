"""A learning rate that is chosen, in a run from the data to the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import skybench
from skybench.core import Record, UsageError

SEARCHED: dict[str, Any] = {"iterations": 4, "rates": [1e-5, 1e-2]}


def run(folder: Path, protocol: str, seeds: int, **overrides: Any) -> Record:
    (record,) = skybench.run(
        "rcf", "semantic_segmentation", dataset="isaid", data="demo", limit=4, protocol=protocol,
        set=overrides, results=folder, seeds=seeds,
    )  # fmt: skip
    return record


def test_the_record_says_which_rate_each_seed_chose_and_why(tmp_path: Path) -> None:
    record = run(tmp_path, "linear", seeds=2, **SEARCHED)
    assert record.recipe["rates"] == ["1e-05", "0.01"]
    assert "rates" in record.used["overridden"]
    for seed in record.seeds:
        chosen = seed["chosen"]
        scores = chosen["sweep"]
        assert [*scores] == ["1e-05", "0.01"]
        assert scores[f"{chosen['rate']:g}"] == max(scores.values())
        assert (chosen["rate_steps"], chosen["steps"]) == (4, 4)


def test_the_score_is_that_of_a_training_on_all_data_at_the_chosen_rate(tmp_path: Path) -> None:
    searched = run(tmp_path / "a", "linear", 1, **SEARCHED)
    rate = searched.seeds[0]["chosen"]["rate"]
    stated = run(tmp_path / "b", "linear", 1, iterations=4, lr=rate)
    assert stated.scores == searched.scores
    assert "sweep" not in stated.seeds[0]["chosen"]


def test_rates_of_a_trained_backbone_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frozen backbone"):
        run(tmp_path, "finetune", 1, rates=[1e-3, 1e-2])
