"""What SLURM says of jobs: a state that comes back is not the end of a job."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from skybench.executors import scheduler
from skybench.executors.scheduler import JobWord

from ._slurm import FakeSlurm, install_slurm

NOW = datetime.datetime(2026, 1, 1, 12, 0).timestamp()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install_slurm(tmp_path, monkeypatch)


def test_the_queue_says_what_waits_and_runs(slurm: FakeSlurm) -> None:
    slurm.says(
        "squeue", "17_0|RUNNING|None", "17_1|PENDING|Priority", "18|COMPLETING|None",
        "17_2|REQUEUE_HOLD|launch_failed_requeued_held",
    )  # fmt: skip
    assert scheduler.ask(["17_0", "17_1", "17_2", "18"]) == {
        "17_0": JobWord("runs", "running"),
        "17_1": JobWord("waits", "pending, Priority"),
        "17_2": JobWord("waits", "requeue_hold, launch_failed_requeued_held"),
        "18": JobWord("runs", "completing"),
    }
    assert slurm.calls == ["squeue -h -r -o %i|%T|%r -j 17,18"]
    assert scheduler.alive(["17_0", "17_2", "99"]) == {"17_0", "17_2"}


@pytest.mark.parametrize(
    ("state", "end", "word"),
    [
        ("PREEMPTED", "2026-01-01T11:58:00", "waits"),  # two minutes ago: queued again soon
        ("NODE_FAIL", "2026-01-01T11:58:00", "waits"),
        ("PREEMPTED", "2026-01-01T11:00:00", "ended"),
        ("PENDING", "Unknown", "waits"),
        ("COMPLETED", "2026-01-01T11:58:00", "ended"),
        ("TIMEOUT", "2026-01-01T11:58:00", "ended"),
        ("CANCELLED by 1000", "2026-01-01T11:58:00", "ended"),
    ],
)
def test_a_job_outside_of_the_queue(slurm: FakeSlurm, state: str, end: str, word: str) -> None:
    slurm.says("squeue", "17_1|RUNNING|None")
    slurm.says("sacct", f"17_0|{state}|{end}", "17_[2-9]|PENDING|Unknown")
    assert scheduler.ask(["17_0"], NOW) == {"17_0": JobWord(word, state.lower())}


def test_one_job_is_told_once_whatever_it_went_through(slurm: FakeSlurm) -> None:
    told = []
    slurm.says("squeue")
    slurm.says("sacct", "17|PREEMPTED|2026-01-01T11:59:00")
    told.append(scheduler.ask(["17"], NOW))
    slurm.says("squeue", "17|RUNNING|None")
    told.append(scheduler.ask(["17"], NOW))
    slurm.says("squeue")
    slurm.says("sacct", "17|COMPLETED|2026-01-01T11:59:30")
    told.append(scheduler.ask(["17"], NOW))
    assert [said["17"].word for said in told if said] == ["waits", "runs", "ended"]


def test_a_queue_that_has_forgotten_a_job_is_no_fault(slurm: FakeSlurm) -> None:
    slurm.fails("squeue", "slurm_load_jobs error: Invalid job id specified")
    slurm.says("sacct", "17|COMPLETED|2026-01-01T11:00:00")
    assert scheduler.ask(["17"], NOW) == {"17": JobWord("ended", "completed")}


def test_without_an_answer_nothing_is_known(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scheduler.ask([]) == {}
    slurm.fails("squeue", "Unable to contact slurm controller")
    assert scheduler.ask(["17"]) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scheduler.ask(["17"]) is None
    assert scheduler.alive(["17"]) == set()
