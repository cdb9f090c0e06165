"""Files of submissions: they are no records, survive damage, and stop nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import Record
from skybench.executors import job_files
from skybench.executors.job_files import JobState, Teller
from skybench.records import index, store

from ._fates import bundle

RECORD = Record("m", "t", "d", {"protocol": "knn"}, "measured", "demo", "a")


def test_a_submission_is_read_back_and_is_no_record(tmp_path: Path) -> None:
    run = job_files.new_run(tmp_path, [bundle("m", "a", "b"), bundle("n", "c")], force=True)
    run.jobs["0002.json"] = "17_1"
    job_files.save_run(tmp_path, run)
    (read,) = job_files.read_runs(tmp_path)
    assert read == run
    assert read.jobs == {"0001.json": "", "0002.json": "17_1"}
    assert read.cells == {"0001.json": ["a", "b"], "0002.json": ["c"]}
    assert read.titles["0002.json"] == "n on d"
    assert job_files.bundle_file(tmp_path, run.name, "0002.json").is_file()
    Teller(job_files.bundle_file(tmp_path, run.name, "0002.json"), "").finished("c", RECORD)
    assert store.read_stored(tmp_path) == ([], [])
    assert index.read_brief(tmp_path) == ({}, [])
    job_files.forget_run(tmp_path, run)
    assert [*tmp_path.rglob("*.json")] == []


def test_damaged_files_tell_nothing(tmp_path: Path) -> None:
    run = job_files.new_run(tmp_path, [bundle("m", "a")], force=False)
    file = job_files.bundle_file(tmp_path, run.name, "0001.json")
    Teller(file, "17").finished("a", RECORD)
    state = tmp_path / ".jobs" / run.name / "states" / "0001.json"
    assert job_files.read_state(tmp_path, run.name, "0001.json").finished == {"a": "measured"}
    for text in ("", "{", '{"word": 1, "other": 2}'):
        state.write_text(text)
        assert job_files.read_state(tmp_path, run.name, "0001.json") == JobState()
        assert Teller(file, "17").state.finished == {}
        (tmp_path / ".jobs" / f"{run.name}.json").write_text(text)
        assert job_files.read_runs(tmp_path) == []


def test_a_job_tells_how_far_it_is_and_how_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = job_files.new_run(tmp_path, [bundle("m", "a", "b")], force=False)
    file = job_files.bundle_file(tmp_path, run.name, "0001.json")

    def state() -> JobState:
        return job_files.read_state(tmp_path, run.name, "0001.json")

    teller = Teller(file, "17_3")
    with teller.telling():
        assert (state().word, state().job, state().starts) == ("runs", "17_3", 1)
        teller.report("a", "features", 0, 9)
        teller.report("a", "features", 5, 9)  # within the pause: not written
        assert (state().cell, state().stage, state().done) == ("a", "features", 0)
        teller.finished("a", RECORD)
    assert (state().word, state().finished) == ("ended", {"a": "measured"})
    with pytest.raises(SystemExit), Teller(file, "17_3").telling():
        raise SystemExit(1)  # as submitit does to queue a job again
    assert (state().word, state().starts) == ("stopped", 2)
    assert state().finished == {"a": "measured"}
    with pytest.raises(ValueError, match="odd"), Teller(file, "17_3").telling():
        raise ValueError("odd")
    assert (state().word, state().note) == ("refused", "ValueError: odd")
    monkeypatch.setenv("SLURM_PROCID", "1")
    with Teller(file, "17_3").telling():
        assert state().word == "refused"  # another of several processes does not speak


def test_a_state_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job_files, "write_whole", full)
    teller = Teller(tmp_path / "bundles" / "0001.json", "")
    with teller.telling():
        teller.finished("a", replace(RECORD, status="failed"))
    assert teller.state.finished == {"a": "failed"}
