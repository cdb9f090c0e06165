"""The table of jobs: what is not done by bundle, the rest in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.cli import output_jobs
from skybench.executors.jobs import JobReport

LEFT = JobReport("r1", "17_0", "m on d", "stopped", 4, 2, 1, "", "timeout")
DONE = JobReport("r1", "17_1", "n on d", "done", 3, 3, 0, "", "")


def test_what_is_left_is_listed_and_what_is_done_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output_jobs, "read_jobs", lambda results: [LEFT, DONE])
    output_jobs.show_jobs(tmp_path, as_json=False)
    out = capsys.readouterr().out
    assert "17_0" in out
    assert "2/4, 1 failed" in out
    assert "17_1" not in out
    assert "r1: 2 bundles: 1 stopped, 1 done; 5 of 7 cells done, 1 failed." in out
    assert "submits what is left" in out


def test_a_long_list_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [LEFT._replace(job=f"job{n}", state="waits") for n in range(50)]
    monkeypatch.setattr(output_jobs, "read_jobs", lambda results: many)
    output_jobs.show_jobs(tmp_path, as_json=False)
    out = capsys.readouterr().out
    assert "job39" in out
    assert "job40" not in out
    assert "… and 10 more" in out


def test_without_submissions_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output_jobs.show_jobs(tmp_path, as_json=False)
    assert f"Nothing was submitted from {tmp_path}" in capsys.readouterr().out
