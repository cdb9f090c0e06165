"""Two runs of the same cell, in the same results folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.plan.cell import to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records.store import find_record, write_record
from skybench.runner import cell_run, run_cells
from skybench.training import checkpoints
from skybench.training.distributed import SINGLE_PROCESS, SingleProcess

REQUEST = Request(
    models=("galileo",), tasks=("scene_classification",), datasets=("eurosat",),
    protocol="finetune", data="demo", limit=4, device="cpu",
)  # fmt: skip


def test_who_trains_a_cell_is_said_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b.1234"
    with checkpoints.training_lock(folder, SINGLE_PROCESS) as mine:
        assert mine == ""
        with checkpoints.training_lock(folder, SINGLE_PROCESS) as busy:
            assert str(folder) in busy
            assert f"process {os.getpid()} on " in busy
            assert "--results" in busy
        with checkpoints.training_lock(folder.with_name("c.1234"), SINGLE_PROCESS) as busy:
            assert busy == ""
    assert [*tmp_path.rglob("*")] == [folder.parent]


def test_where_no_lock_can_be_written_training_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file in the place of the folder")
    for _ in range(2):
        with checkpoints.training_lock(tmp_path / "a" / "b", SINGLE_PROCESS) as busy:
            assert busy == ""


def test_of_several_processes_the_first_one_locks(tmp_path: Path) -> None:
    class Second(SingleProcess):
        rank, size = 1, 2

        def gather(self, one: Any) -> list[Any]:
            return ["another process", one]

    with checkpoints.training_lock(tmp_path / "a", Second()) as busy:
        assert "(another process)" in busy
        assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("force", [False, True])
def test_a_cell_that_another_run_trains_is_skipped_and_left_as_it_is(
    force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, results=tmp_path, force=force, datasets=("eurosat", "resisc45"))
    first, *others = Planner(request).cells()
    folder = (tmp_path / to_record(first).path).with_suffix("")
    checkpoint = folder / "seed0" / checkpoints.LAST
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"of the first run")
    ran = []

    def run_cell(cell: Any, *given: Any) -> Any:
        if cell.status == "planned":
            ran.append(cell.fingerprint)
            return replace(to_record(cell), status="failed", note="a stand-in")
        return original(cell, *given)

    original = cell_run.run_cell
    monkeypatch.setattr(cell_run, "run_cell", run_cell)
    with checkpoints.training_lock(folder, SINGLE_PROCESS):
        records = run_cells.run_cells(request)
    rest = [cell.fingerprint for cell in others]
    assert ran == rest
    assert [r.status for r in records] == ["cannot run", *["failed"] * len(others)]
    assert "another run trains this cell" in records[0].note
    assert checkpoint.read_bytes() == b"of the first run"
    kept = {to_record(cell).path for cell in others}
    assert {p.relative_to(tmp_path) for p in tmp_path.rglob("*.json")} == kept
    assert not [*tmp_path.rglob("*.lock")]
    run_cells.run_cells(request)
    assert ran[len(rest) :] == [first.fingerprint, *rest]


@pytest.mark.parametrize("force", [False, True])
def test_a_cell_that_another_run_finished_meanwhile_is_taken(
    force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, results=tmp_path, force=force)
    (cell,) = Planner(request).cells()
    theirs = replace(to_record(cell), status="measured", scores={"oa": 50.0})
    mine = replace(to_record(cell), status="failed", note="a stand-in")
    monkeypatch.setattr(cell_run, "run_cell", lambda *_: mine)
    write_record(theirs, tmp_path)
    (made,) = run_cells.run_planned(request, [cell])
    assert made.status == (mine if force else theirs).status
    assert find_record(tmp_path, theirs.path) == theirs  # a failure replaces nothing
