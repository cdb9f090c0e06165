"""How far submitted bundles are: by records first, then the scheduler, then their own notes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record
from skybench.executors import job_files, jobs
from skybench.executors.job_files import SubmittedRun, Teller
from skybench.executors.jobs import JobReport, count_states, read_jobs
from skybench.executors.scheduler import JobWord
from skybench.records import store

from ._fates import bundle

Say = Callable[..., list[JobReport]]


@pytest.fixture
def run(tmp_path: Path) -> SubmittedRun:
    """A submission of two bundles, of two cells and of one."""
    made = job_files.new_run(tmp_path, [bundle("m", "a", "b"), bundle("n", "c")], force=False)
    made.jobs = {"0001.json": "17_0", "0002.json": "17_1"}
    job_files.save_run(tmp_path, made)
    return made


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """The reports, with what SLURM says of jobs; None: there is no SLURM."""

    def call(words: dict[str, tuple[str, str]] | None) -> list[JobReport]:
        known = None if words is None else {job: JobWord(*word) for job, word in words.items()}
        return read_jobs(tmp_path, lambda asked: known)

    return call


def record(results: Path, name: str, status: Any = "measured", **changes: Any) -> None:
    made = Record("m", "t", "d", {"protocol": "knn", "label": ""}, status, "demo", name)
    made = replace(
        made, fingerprint=name, **{"made": store.now(), **changes}, used={"sensors": ["s2"]}
    )
    store.write_record(made, results)


def teller(results: Path, run: SubmittedRun, name: str = "0001.json") -> Teller:
    return Teller(job_files.bundle_file(results, run.name, name), "17_0")


def test_what_waits_and_runs_is_told_by_the_scheduler(
    tmp_path: Path, run: SubmittedRun, say: Say
) -> None:
    with teller(tmp_path, run).telling():
        telling = teller(tmp_path, run)
        telling.report("a", "features", 30, 60)
        first, second = say({"17_0": ("runs", "running"), "17_1": ("waits", "pending, Priority")})
    assert (first.state, first.note, first.job, first.bundle) == (
        "runs", "features 50 %", "17_0", "m on d",
    )  # fmt: skip
    assert first.where
    assert (second.state, second.note, second.where) == ("waits", "pending, Priority", "")


def test_records_count_whatever_the_scheduler_says(
    tmp_path: Path, run: SubmittedRun, say: Say
) -> None:
    record(tmp_path, "a")
    record(tmp_path, "c", "failed")
    first, second = say({"17_0": ("ended", "timeout"), "17_1": ("runs", "running")})
    assert (first.state, first.note, first.cells, first.done) == ("stopped", "timeout", 2, 1)
    assert (second.state, second.done, second.failed) == ("failed", 0, 1)
    record(tmp_path, "b")
    record(tmp_path, "c")
    assert [report.state for report in say({})] == ["done", "done"]
    text = "2 bundles: 2 done; 3 of 3 cells done"
    assert count_states(say(None)) == text


def test_of_force_only_new_records_count(tmp_path: Path, run: SubmittedRun, say: Say) -> None:
    record(tmp_path, "c", made="2020-01-01T00:00:00+00:00")
    assert say({})[1].state == "done"
    run.force = True
    job_files.save_run(tmp_path, run)
    assert (say({})[1].state, say({})[1].done) == ("stopped", 0)


def test_a_preempted_job_waits_for_its_next_start(
    tmp_path: Path, run: SubmittedRun, say: Say
) -> None:
    with pytest.raises(SystemExit), teller(tmp_path, run).telling():
        raise SystemExit(255)
    report = say({"17_0": ("waits", "preempted")})[0]
    assert (report.state, report.note) == ("waits", "preempted, start 2")


def test_without_slurm_the_notes_are_believed_for_a_while(
    tmp_path: Path, run: SubmittedRun, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [report.state for report in say(None)] == ["waits", "waits"]
    with teller(tmp_path, run).telling():
        assert say(None)[0].state == "runs"
        later = time.time() + jobs.SILENT + 60
        monkeypatch.setattr(time, "time", lambda: later)
        silent = say(None)[0]
    assert (silent.state, silent.note) == ("stopped", "nothing heard for 16 minutes")
    assert say(None)[0].state == "stopped"  # it has ended, and cells are left


def test_a_refused_bundle_says_why(tmp_path: Path, run: SubmittedRun, say: Say) -> None:
    with pytest.raises(ValueError, match="other"), teller(tmp_path, run).telling():
        raise ValueError("other files")
    report = say({"17_0": ("ended", "failed")})[0]
    assert (report.state, report.note) == ("refused", "ValueError: other files")


def test_a_bundle_without_a_job_was_not_submitted(
    tmp_path: Path, run: SubmittedRun, say: Say
) -> None:
    run.jobs["0002.json"] = ""
    job_files.save_run(tmp_path, run)
    assert say({"17_0": ("runs", "running")})[1].state == "not submitted"
    assert read_jobs(tmp_path / "other") == []
