"""How one cell runs: its context, and an exception that costs no other cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import CannotRun, UsageError
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner import cell_run

QUICK = Request(
    models=["image_stats"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn", limit=40, device="cpu",
)  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"), [(CannotRun("no such band"), "cannot run"), (KeyError(9), "failed")]
)
def test_an_exception_goes_into_the_record(
    error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cell_run, "run_seed", broken)
    (cell,) = Planner(replace(QUICK, results=tmp_path)).cells()
    record = cell_run.run_cell(cell, cell_run.shared_context(QUICK, [cell]), tmp_path)
    assert record.status == status
    assert bool(record.traceback) == (status == "failed")
    assert record.made


def test_the_context_of_all_cells_is_that_of_the_request() -> None:
    base = cell_run.shared_context(replace(QUICK, micro=4, recompute=True), [])
    assert (base.device, base.micro_batch, base.recompute_activations) == ("cpu", 4, True)
    with pytest.raises(UsageError, match="tpu"):
        cell_run.shared_context(replace(QUICK, device="tpu"), [])


def test_float32_is_float32_in_all_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    @contextmanager
    def tf32_on(on: bool, device: str) -> Iterator[None]:
        assert (on, device) == (False, "cpu")
        held.append(True)
        yield
        held.pop()

    def measured(*_: Any) -> None:
        assert held == [True]
        raise CannotRun("seen")

    monkeypatch.setattr(cell_run, "tf32_on", tf32_on)
    monkeypatch.setattr(cell_run, "measure_cell", measured)
    (cell,) = Planner(replace(QUICK, results=tmp_path)).cells()
    record = cell_run.run_cell(cell, cell_run.shared_context(QUICK, [cell]), tmp_path)
    assert record.note == "seen"
