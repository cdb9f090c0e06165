"""Two runs of the same cell, in the same results folder."""

from __future__ import annotations

import subprocess
import sys
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
CODE = """
import pathlib, sys, time
from skybench.training.checkpoints import training_lock
from skybench.training.distributed import SINGLE_PROCESS
with training_lock(pathlib.Path(sys.argv[1]), SINGLE_PROCESS) as busy:
    print(busy or "mine", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_blocks_none(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b.1234"
    words = [sys.executable, "-c", CODE, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with checkpoints.training_lock(folder, SINGLE_PROCESS) as busy:
            assert str(folder) in busy
            assert f"process {other.pid} on " in busy
            assert "--results" in busy
        with checkpoints.training_lock(folder.with_name("c.1234"), SINGLE_PROCESS) as busy:
            assert busy == ""
        other.kill()
    for _ in range(2):  # the first one's lock is gone too
        with checkpoints.training_lock(folder, SINGLE_PROCESS) as busy:
            assert busy == ""
    assert [*tmp_path.rglob("*")] == [folder.parent]


def test_a_lock_that_was_removed_while_it_was_opened_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a third run could lock a new file of the name."""
    import fcntl

    flock, path = fcntl.flock, tmp_path / "a.lock"

    def late(file: Any, how: int) -> None:
        monkeypatch.undo()
        path.unlink()  # as the owner does when it ends
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with checkpoints.training_lock(tmp_path / "a", SINGLE_PROCESS) as busy:
        assert busy == ""
        assert path.is_file()
        with checkpoints.training_lock(tmp_path / "a", SINGLE_PROCESS) as busy:
            assert busy != ""
    assert not path.exists()


@pytest.mark.parametrize("lacks", ["module", "locks"])
def test_where_there_are_no_locks_training_goes_on(
    lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(*_: Any) -> None:
        raise OSError("no locks available")

    if lacks == "module":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with checkpoints.training_lock(tmp_path / "a", SINGLE_PROCESS) as busy:
            assert busy == ""


def test_of_several_processes_the_first_one_locks(tmp_path: Path) -> None:
    class Second(SingleProcess):
        rank, size = 1, 2

        def gather(self, one: Any) -> list[Any]:
            return ["another run", one]

    with checkpoints.training_lock(tmp_path / "a", Second()) as busy:
        assert busy == "another run"
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
