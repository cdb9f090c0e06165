"""Where several processes can train together from, and what is said where they cannot."""

from __future__ import annotations

import multiprocessing
import os
import sys
from types import ModuleType
from typing import Any

import pytest

from skybench.cli import output
from skybench.core import UsageError
from skybench.executors import execute
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner import run_cells
from skybench.training import launch

SRUN = {  # two tasks on one machine
    "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1",
    "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0",
}  # fmt: skip
SBATCH = {
    "SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "batch",
}  # fmt: skip
STARTED = ("SLURM_", "TORCHELASTIC", "LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a terminal, whatever has started the tests."""
    for name in [name for name in os.environ if name.startswith(STARTED)]:
        monkeypatch.delenv(name)
    monkeypatch.delattr(sys, "ps1", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def setting(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def refused(devices: int, nodes: int, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        launch.require_processes(devices, nodes)


def test_a_command_on_a_terminal_is_started_again() -> None:
    launch.require_processes(2, 1)


@pytest.mark.parametrize("where", ["python", "notebook"])
def test_a_notebook_is_told_so_before_planning(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "python":
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    refused(2, 1, "notebook or an interactive Python cannot do; give it in a terminal")
    launch.require_processes(1, 1)
    monkeypatch.setattr(Planner, "cells", lambda *_: pytest.fail("it was planned"))
    with pytest.raises(UsageError, match="notebook"):
        run_cells.run_cells(Request(models=("rcf",), devices=2))
    with pytest.raises(UsageError, match="notebook"):
        output.run_request(Request(models=("rcf",), devices=2), fail_fast=False, as_json=False)


def test_processes_that_cannot_be_started_again_are_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["/env/ray/_private/workers/default_worker.py", "--node-id=1"])
        refused(2, 1, "this is a worker of Ray; give it in a terminal")
        setting(monkeypatch, {"LOCAL_RANK": "0"})  # by someone who starts all processes himself
        launch.require_processes(2, 1)
        monkeypatch.delenv("LOCAL_RANK")
    with monkeypatch.context() as patch:
        patch.setattr(multiprocessing, "parent_process", lambda: object())
        refused(2, 1, "a process that another one has started")
    main: Any = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(sys, "argv", ["-c"])
    refused(2, 1, "code that is in no file")
    monkeypatch.setattr(sys, "argv", [__file__])
    launch.require_processes(2, 1)


def test_tasks_of_srun_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, SRUN)
    launch.require_processes(2, 1)
    setting(monkeypatch, {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"})
    launch.require_processes(4, 2)


@pytest.mark.parametrize("more", [{}, {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}])
def test_sbatch_without_srun_is_refused(
    more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would train in one process and not say so, or wait for another one."""
    setting(monkeypatch, SBATCH | more)
    refused(2, 1, "without srun.*start it by: srun --nodes=1 --ntasks-per-node=2 skybench run")
    launch.require_processes(1, 1)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"SLURM_NTASKS": "1"}, "needs 2 processes, but srun has started 1; start it by: srun"),
        ({"SLURM_NTASKS": "16"}, "has started 16"),
        ({"SLURM_NTASKS_PER_NODE": "1"}, "but to SLURM --ntasks-per-node=1; start it by"),
        ({"SLURM_NTASKS_PER_NODE": ""}, "but to SLURM not --ntasks-per-node; start it by"),
        ({"SLURM_NNODES": "2"}, "but SLURM uses 2 machines; start it by"),
    ],
)
def test_other_numbers_of_tasks_than_of_devices_are_refused(
    more: dict[str, str], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(monkeypatch, SRUN | more)
    refused(2, 1, match)


def test_srun_in_a_job_that_passes_for_interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task would start all processes."""
    setting(monkeypatch, SRUN | {"SLURM_JOB_NAME": "interactive"})
    refused(2, 1, "one of 2 tasks of srun in a job named interactive")
    setting(monkeypatch, {"SLURM_STEP_NUM_TASKS": "1"})
    launch.require_processes(2, 1)  # which starts the other itself


def test_torchrun_has_its_own_number(monkeypatch: pytest.MonkeyPatch) -> None:
    setting(monkeypatch, {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4"} | SBATCH)
    launch.require_processes(4, 1)
    refused(2, 1, "needs 2 processes, but torchrun has started 4; give torchrun that number")


def test_several_machines_need_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(2, 2, "--nodes 2 was given, but nothing says where the first machine is")
    setting(monkeypatch, {"MASTER_ADDR": "node1", "NODE_RANK": "1"})
    launch.require_processes(2, 2)


def speak(processes: int) -> bool:
    with launch.hushed_helper(processes) as hushed:
        print("a table")
        print("progress", file=sys.stderr)
        if hushed:
            raise UsageError("a reason")
    return hushed


@pytest.mark.parametrize("name", launch.RANKS)
def test_a_helper_prints_nothing_but_what_ends_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "")
    for rank, processes in (("", 2), ("0", 2), ("1", 1)):
        monkeypatch.setenv(name, rank)
        assert not speak(processes)
        assert capsys.readouterr() == ("a table\n", "progress\n")
    monkeypatch.setenv(name, "1")
    with pytest.raises(UsageError, match="a reason"):
        speak(2)
    assert capsys.readouterr() == ("", "")
    print("heard again")
    assert capsys.readouterr().out == "heard again\n"


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_prints_the_table(
    rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any, **__: Any) -> list[Any]:
        print("loading weights", file=sys.stderr)
        return []

    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "")
    setting(monkeypatch, SRUN | {"SLURM_PROCID": str(rank)})
    monkeypatch.setattr(Planner, "cells", lambda *_: [])
    monkeypatch.setattr(execute, "execute", run)
    request = Request(models=("rcf",), devices=2)
    assert output.run_request(request, fail_fast=False, as_json=True) == 0
    printed = capsys.readouterr()
    assert bool(printed.out) == bool(printed.err) == (rank == 0)
