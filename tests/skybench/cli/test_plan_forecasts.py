"""Forecasts as a plan shows them; what they say is tested in tests/skybench/plan."""

from __future__ import annotations

from typing import Any

from skybench.cli import plan_forecasts

TUNED = {"recompute": False, "plain": {"hours": 2.0}, "recomputing": {"hours": 3.0}}


def test_seconds_are_of_the_way_that_applies() -> None:
    rows: list[dict[str, Any]] = [
        {"fingerprint": "tuned", "forecast": TUNED},
        {"fingerprint": "recomputing", "forecast": {**TUNED, "recompute": True}},
        {"fingerprint": "does not fit", "forecast": {**TUNED, "plain": {"hours": None}}},
        {"fingerprint": "extracted", "forecast": {"hours": 0.5, "reached": 0.1}},
        {"fingerprint": "found", "forecast": {"hours": 0.0, "reached": 0.1}},
        {"fingerprint": "unknown", "forecast": {"unknown": "why"}},
        {"fingerprint": "done"},
    ]
    assert plan_forecasts.forecast_seconds(rows) == {
        "tuned": 7200.0, "recomputing": 10800.0, "does not fit": None, "extracted": 1800.0,
        "found": 0.0, "unknown": None, "done": None,
    }  # fmt: skip


def test_without_fine_tuning_or_a_gpu_nothing_is_forecast() -> None:
    rows: list[dict[str, Any]] = []
    planner: Any = None
    assert plan_forecasts.add_forecasts(rows, [], planner, "") == ""
