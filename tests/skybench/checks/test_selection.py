"""When choices rest on the images that are tested."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.checks.selection import best_state, selection_on_test
from skybench.core import Recipe

KEYS = {"learn": ("a", "b"), "dev": ("c", "d"), "test": ("e", "f"), "mixed": ("d", "e", "f")}


def cell(stepwise: bool = True, **changes: Any) -> Any:
    recipe = replace(Recipe("p", train="learn", val="", test="test"), **changes)
    splits = {
        role: SimpleNamespace(keys=KEYS[name])
        for role, name in (("train", "learn"), ("val", recipe.val), ("test", recipe.test))
        if name
    }
    return SimpleNamespace(
        recipe=recipe, splits=splits, protocol=SimpleNamespace(trains_stepwise=stepwise)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "best-on-test"},
        {"state": "best-on-test", "val": "dev"},
        {"val": "test", "validate": 1},
        {"val": "test", "state": "best-on-val"},
        {"val": "test", "validate": 2, "state": "last", "patience": 3},  # which ends it
        {"val": "mixed", "validate": 1},  # whatever the split is called
        {"val": "test", "stepwise": False},  # which chooses k, or a penalty
    ],
)
def test_choosing_by_scores_on_the_test_is_found(changes: dict[str, Any]) -> None:
    assert selection_on_test(cell(**changes))
    assert best_state(cell(**changes)) == "best-on-test"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": "last"},
        {"val": "dev", "validate": 1},
        {"val": "dev", "state": "best-on-val", "patience": 2},
        {"val": "", "validate": 1},  # a part of train
        {"val": "dev", "stepwise": False},
    ],
)
def test_other_choices_are_not_suspected(changes: dict[str, Any]) -> None:
    assert selection_on_test(cell(**changes)) == ""
    assert best_state(cell(**changes)) == "best-on-val"


def test_scores_on_the_test_that_choose_nothing_are_called_so() -> None:
    watched = cell(val="test", validate=1, state="last")
    assert selection_on_test(watched) == ""
    assert best_state(watched) == "best-on-test"


def test_the_reason_counts_the_samples() -> None:
    assert selection_on_test(cell(val="mixed", validate=1)).startswith("2 of the 3 validation")
