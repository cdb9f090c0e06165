"""Whether several processes can train together from where this one was started, and which it is.

Lightning Fabric starts them, by giving the command line again, or takes those of srun or torchrun.
Its own checks come after planning, or never; without torch, these come first.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from skybench.core import UsageError

RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
BY_HAND = "bash", "interactive"  # names of SLURM jobs that Fabric does not take for its own


def is_helper_process() -> bool:
    """Whether this process has a rank above 0, and so must not print.

    Of one that trains alone this says nothing: SLURM numbers all tasks.
    """
    return any(_number(name) > 0 for name in RANKS)


@contextlib.contextmanager
def hushed_helper(processes: int) -> Iterator[bool]:
    """Let nothing be printed in here if this is a helper among several processes; give whether.

    What ends it is for the caller to print.
    """
    if processes == 1 or not is_helper_process():
        yield False
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of torch's own code, not yet imported
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield True


def require_processes(devices: int, nodes: int) -> None:
    """Raise UsageError where a process for each device on each machine cannot be had from here."""
    if devices * nodes == 1:
        return
    if hasattr(sys, "ps1") or sys.flags.interactive or "ipykernel" in sys.modules:
        raise UsageError(
            "--devices and --nodes start this command again for each device, which a notebook or "
            "an interactive Python cannot do; give it in a terminal: skybench run ..."
        )
    task = _number("SLURM_STEP_NUM_TASKS")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _require_world(devices, nodes, _number("WORLD_SIZE"), "torchrun")
    elif "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in BY_HAND:
        _require_srun(devices, nodes)
    elif task > 1:
        raise UsageError(
            f"This is one of {task} tasks of srun in a job named {os.environ['SLURM_JOB_NAME']}, "
            "where each task would start all processes; set SLURM_JOB_NAME to another name"
        )
    elif "LOCAL_RANK" not in os.environ:
        _require_repeatable()
        if nodes > 1 and not {"MASTER_ADDR", "NODE_RANK"} <= {*os.environ}:
            raise UsageError(
                f"--nodes {nodes} was given, but nothing says where the first machine is: set "
                "MASTER_ADDR, MASTER_PORT and NODE_RANK on each, or start by srun"
            )


def _require_srun(devices: int, nodes: int) -> None:
    """Raise UsageError where SLURM has not started a process for each device."""
    asked = f"--devices {devices} --nodes {nodes}"
    how = f"start it by: srun --nodes={nodes} --ntasks-per-node={devices} skybench run ..."
    if not {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"} & {*os.environ}:
        raise UsageError(
            f"{asked} was given in a job of SLURM but without srun, so this process is the only "
            f"one; {how}"
        )
    _require_world(devices, nodes, _number("SLURM_NTASKS"), "srun", how)
    each = os.environ.get("SLURM_NTASKS_PER_NODE")
    if each is None or each != str(devices):
        said = f"--ntasks-per-node={each}" if each else "not --ntasks-per-node"
        raise UsageError(f"{asked} was given, but to SLURM {said}; {how}")
    if os.environ.get("SLURM_NNODES", str(nodes)) != str(nodes):
        raise UsageError(
            f"{asked} was given, but SLURM uses {_number('SLURM_NNODES')} machines; {how}"
        )


def _require_world(devices: int, nodes: int, found: int, starter: str, how: str = "") -> None:
    if found != devices * nodes:
        raise UsageError(
            f"--devices {devices} --nodes {nodes} needs {devices * nodes} processes, but {starter} "
            f"has started {found}; {how or f'give {starter} that number'}"
        )


def _require_repeatable() -> None:
    """Raise UsageError where the command line that runs is not one to be given again."""
    import __main__  # as Fabric looks at it

    given = Path(sys.argv[0] if sys.argv else "")
    inside = ""
    if given.name == "default_worker.py":
        inside = "a worker of Ray"
    elif multiprocessing.parent_process() is not None:
        inside = "a process that another one has started"
    elif getattr(__main__, "__spec__", None) is None and not given.is_file():
        inside = "code that is in no file"
    if inside:
        raise UsageError(
            f"--devices starts this command again for each device, but this is {inside}; give it "
            "in a terminal: skybench run ..."
        )


def _number(name: str) -> int:
    """A whole number of the environment; 0 where there is none."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
