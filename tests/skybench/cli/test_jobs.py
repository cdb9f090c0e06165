"""`skybench jobs`, where there is nothing to show."""

from __future__ import annotations

from typing import Any


def test_jobs_without_a_submission(skybench: Any) -> None:
    ended = skybench("jobs", "--json")
    assert (ended.code, ended.json) == (0, [])
    assert "Nothing was submitted" in skybench("jobs").out


def test_options_of_where_cells_run_are_explained(skybench: Any) -> None:
    out = skybench("run", "--help").out
    assert all(f"--{name}" in out for name in ("executor", "resources", "timeout", "shard"))
