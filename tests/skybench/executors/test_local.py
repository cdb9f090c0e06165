"""Cells in several processes: the same records as in one, whatever process they ran in."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record, SkybenchError, UsageError
from skybench.executors import local
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells

REQUEST = Request(
    models=["image_stats", "rcf"], tasks=["scene_classification"], datasets=["eurosat", "aid"],
    data="demo", protocol="knn", limit=30, jobs=2, device="cpu",
)  # fmt: skip


def told(record: Record) -> tuple[Any, ...]:
    return record.path, record.status, dict(record.scores), dict(record.intervals)


def test_bundles_are_the_planned_cells_by_model_and_dataset() -> None:
    cells = Planner(REQUEST).cells()
    assert [c.dataset for c in cells] == ["eurosat", "aid", "aid"] * 2
    assert local.bundles(cells) == [[0], [1, 2], [3], [4, 5]]
    assert local.bundles([replace(cells[0], status="done"), *cells[1:]])[0] == [1, 2]


def test_two_processes_make_the_records_of_one(tmp_path: Path) -> None:
    alone = run_cells(replace(REQUEST, results=tmp_path / "one"))
    request = replace(REQUEST, results=tmp_path / "two")
    heard: list[str] = []
    stages: set[str] = set()
    together = local.run_in_processes(
        request,
        Planner(request).cells(),
        lambda _, stage, *__: stages.add(stage),
        lambda cell, record: heard.append(f"{cell.model.name} {record.status}"),
    )
    assert [told(r) for r in together] == [told(r) for r in alone]
    assert sorted(heard) == ["image_stats measured"] * 3 + ["rcf measured"] * 3
    assert {"head", "test"} <= stages
    again = local.run_in_processes(request, Planner(request).cells())  # nothing is left to run
    assert [r.made for r in again] == [r.made for r in together]


def test_a_killed_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(REQUEST, results=tmp_path)
    monkeypatch.setattr(local, "_run_bundle", _die)
    with pytest.raises(SkybenchError, match="was killed, perhaps for want of memory"):
        local.run_in_processes(request, Planner(request).cells())


def _die(*_: Any) -> bool:
    os._exit(9)


def test_the_first_failure_ends_the_wait_if_asked() -> None:
    failed: Future[bool] = Future()
    failed.set_result(True)
    local._wait([failed, Future()], fail_fast=True)  # the other one never ends


def test_threads_are_shared_unless_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local.THREADS, raising=False)
    with local._threads_each(3):
        assert os.environ[local.THREADS] == "3"
    assert local.THREADS not in os.environ
    monkeypatch.setenv(local.THREADS, "7")
    with local._threads_each(3):
        assert os.environ[local.THREADS] == "7"
    assert os.environ[local.THREADS] == "7"


def test_jobs_are_for_cells_of_one_device() -> None:
    with pytest.raises(UsageError, match="--jobs runs cells beside each other"):
        local.run_in_processes(replace(REQUEST, devices=2), [])
