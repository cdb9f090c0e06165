"""What a job runs: the cells that are not done, of the file that it was handed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record, SkybenchError
from skybench.executors import job_files, slurm_job
from skybench.executors.slurm_job import BundleJob

from ._fates import bundle


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of four cells, run by a function that stops as the environment says."""

    def run(given: Any, report: Any, finished: Any) -> None:
        for name in given.fingerprints:
            report(name, "start", 0, 1)
            if name == stop[0]:
                raise SystemExit(255)
            status: Any = "failed" if name.startswith("fails") else "measured"
            finished(name, Record("m", "t", "d", {"protocol": "knn"}, status, "demo", name))
        ran.append(given.fingerprints)

    ran.clear()
    stop[0] = ""
    monkeypatch.setattr(slurm_job, "run_bundle", run)
    cells = bundle("m", "a", "b", "fails", "c")
    made = job_files.new_run(tmp_path, [cells], force=True)
    return job_files.bundle_file(tmp_path, made.name, "0001.json")


ran: list[Any] = []
stop = [""]


def test_a_job_that_is_queued_again_goes_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "21")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "4")
    stop[0] = "b"
    with pytest.raises(SystemExit):
        BundleJob()(str(file))
    stop[0] = ""
    assert BundleJob()(str(file)) == 1
    assert BundleJob()(str(file)) == 1  # nothing is left
    assert ran == [("b", "fails", "c")]
    state = json.loads((file.parent.parent / "states" / file.name).read_text())
    assert (state["job"], state["starts"], state["word"]) == ("17_4", 3, "ended")


def test_a_job_of_another_version_is_refused(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "skybench": "0.0.0"}))
    with pytest.raises(SkybenchError, match=r"planned by skybench 0\.0\.0"):
        BundleJob()(str(file))
    state = json.loads((file.parent.parent / "states" / file.name).read_text())
    assert state["word"] == "refused"
    assert "0.0.0" in state["note"]
    file.unlink()
    with pytest.raises(FileNotFoundError):
        BundleJob()(str(file))


def test_nothing_but_names_is_kept_of_a_job() -> None:
    """A pickle of code would run the old code after an update."""
    text = pickle.dumps((BundleJob(), "/results/.jobs/1/bundles/0001.json"))
    assert len(text) < 200
    assert b"skybench.executors.slurm_job" in text


def test_submitit_queues_the_same_again() -> None:
    pytest.importorskip("submitit")
    again = BundleJob().checkpoint("/x/0001.json")
    assert isinstance(again.function, BundleJob)
    assert (again.args, again.kwargs) == (("/x/0001.json",), {})


def test_a_later_start_does_not_wait_for_the_lock_of_an_earlier_one(file: Path) -> None:
    """Of a node that was lost: on another host the lock would count for minutes."""
    cells = json.loads(file.read_text())
    results = file.parent.parent.parent.parent
    file.write_text(json.dumps({**cells, "request": {**cells["request"], "results": str(results)}}))
    lock = results / "t" / "d" / "m.finetune.s2.b.lock"
    lock.parent.mkdir(parents=True)
    stop[0] = "b"
    with pytest.raises(SystemExit):
        BundleJob()(str(file))
    lock.touch()
    stop[0] = ""
    BundleJob()(str(file))
    assert not lock.exists()
