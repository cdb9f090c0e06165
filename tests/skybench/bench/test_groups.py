from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from skybench.bench import groups
from skybench.bench.timing import AT_FULL, Timing, value_row
from skybench.core import UsageError


def test_groups_are_chosen_in_their_order_and_all_by_default() -> None:
    assert groups.chosen_groups([]) == [*groups.GROUPS]
    assert groups.chosen_groups(["boxes,heads", "heads"]) == ["heads", "boxes"]
    with pytest.raises(UsageError, match="Did you mean 'boxes'"):
        groups.chosen_groups(["boxs"])


def test_every_group_names_a_function_that_is_there() -> None:
    for group in groups.GROUPS.values():
        module, _, function = group.function.partition(":")
        source = Path(groups.__file__).with_name(f"{module}.py").read_text("utf-8")
        assert f"def {function}(form: Form) -> Iterator[Timing]:" in source


def test_rows_have_their_group_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(form: str) -> list[Timing]:
        assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (1, "1")
        return [value_row(form, 1, "s", "<= 2")]

    monkeypatch.setattr("skybench.bench.pooled_heads.time_pooled_heads", both)
    told: list[str] = []
    (row,) = groups.run_groups(["heads"], "tiny", lambda what, *_: told.append(what))
    assert (row.group, row.what, row.holds) == ("heads", "tiny", AT_FULL)
    assert told == ["heads", "heads: tiny"]
    assert [r.holds for r in groups.run_groups(["heads"], "short")] == ["yes"]


def test_a_group_that_fails_says_why_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(form: str) -> Iterator[Timing]:
        yield value_row("first", 1, "s")
        raise ImportError("its library is broken\nin many lines")

    fine = [value_row("fine", 1, "s")]
    monkeypatch.setattr("skybench.bench.pooled_heads.time_pooled_heads", broken)
    monkeypatch.setattr("skybench.bench.boxes.time_boxes", lambda form: fine)
    rows = [*groups.run_groups(["heads", "boxes"], "short")]
    assert [row.what for row in rows] == [
        "first", "failed: ImportError: its library is broken", "fine",
    ]  # fmt: skip
    assert [row.holds for row in rows] == ["", "failed", ""]


def test_threads_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with groups.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    assert "OMP_NUM_THREADS" not in os.environ


def test_facts_of_the_machine_are_plain_json() -> None:
    facts = groups.machine_facts("short")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["processor"]
    assert facts["size"] == "short"
