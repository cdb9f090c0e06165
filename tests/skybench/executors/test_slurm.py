"""Submission to SLURM: arrays, their scripts, and what is not submitted twice."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import SkybenchError, UsageError
from skybench.executors import job_files, slurm
from skybench.executors.bundles import Bundle, bundle_from_json, bundles
from skybench.executors.job_files import read_runs
from skybench.executors.slurm_job import BundleJob
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store

from ._fates import bundle
from ._slurm import FakeSlurm, install_slurm

pytest.importorskip("submitit")

# Submitit's debug executor leaves its log open, its local one does not wait for processes.
untidy = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
HOUR = 3600.0


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install_slurm(tmp_path, monkeypatch)


def request_in(folder: Path, **changes: Any) -> Request:
    return Request(results=folder / "runs", **changes)


def test_jobs_of_an_array_ask_for_about_the_same_time_and_are_no_more_than_the_limit() -> None:
    seconds = (100.0, 5 * HOUR, 0.0, 4 * HOUR, 2 * HOUR, 300.0, None)
    arrays = slurm.job_arrays([bundle("m", "a", seconds=s) for s in seconds], 1000)
    assert [[b.seconds for b in group] for group in arrays] == [
        [5 * HOUR, 4 * HOUR], [2 * HOUR], [300.0, 100.0, 0.0, None],
    ]  # fmt: skip
    many = slurm.job_arrays([bundle("m", "a", seconds=1.0) for _ in range(25)], 10)
    assert [len(group) for group in many] == [10, 10, 5]
    assert slurm.job_arrays([], 10) == []


def test_a_submission_is_an_array_with_the_resources_asked_for(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    asked = {"cpus": "8", "mem": "64G", "partition": "gpu", "qos": "low", "parallel": "2",
             "exclusive": ""}  # fmt: skip
    request = request_in(tmp_path, resources=asked)
    cells = [bundle("m", "a", "b", seconds=HOUR, gpus=1), bundle("n", "c", seconds=HOUR, gpus=1)]
    run = slurm.submit(cells, request)
    assert run is not None
    (script,) = fake.scripts
    lines = {line for line in script.splitlines() if line.startswith(("#SBATCH", "export"))}
    folder = job_files.log_folder(tmp_path / "runs", run.name)
    assert lines == {
        "#SBATCH --array=0-1%2", "#SBATCH --cpus-per-task=8", "#SBATCH --exclusive",
        "#SBATCH --gpus-per-node=1", "#SBATCH --job-name=skybench", "#SBATCH --mem=65536M",
        "#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=1", "#SBATCH --open-mode=append",
        f"#SBATCH --output={folder}/%A_%a_0_log.out", "#SBATCH --partition=gpu",
        "#SBATCH --qos=low", "#SBATCH --requeue", "#SBATCH --signal=USR2@60",
        "#SBATCH --time=95", "#SBATCH --wckey=submitit", "export SKYBENCH_CORES=8",
        "export OMP_NUM_THREADS=8", "export SUBMITIT_EXECUTOR=slurm",
    }  # fmt: skip
    assert run.jobs == {"0001.json": "17_0", "0002.json": "17_1"}
    assert read_runs(tmp_path / "runs") == [run]
    text = job_files.bundle_file(tmp_path / "runs", run.name, "0002.json").read_text()
    assert bundle_from_json(text) == cells[1]


def test_the_script_of_a_dry_run_is_the_one_that_is_submitted(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_in(tmp_path, resources={"time": "2h", "gres": "gpu:a100:1"})
    for cells in ([bundle("m", "a", gpus=1)], [bundle("m", "a", gpus=1), bundle("n", "b", gpus=1)]):
        run = slurm.submit(cells, request)
        assert run is not None
        folder = str(job_files.log_folder(tmp_path / "runs", run.name))
        with monkeypatch.context() as without:
            without.setenv("PATH", str(tmp_path))
            shown = slurm.sbatch_script(request, cells, folder)
        assert shown == fake.scripts[-1]
        assert "#SBATCH --time=120" in shown
        assert "gpus-per-node" not in shown


def test_one_network_on_several_gpus_has_a_process_for_each(tmp_path: Path) -> None:
    request = request_in(tmp_path, devices=4, nodes=2)
    script = slurm.sbatch_script(request, [bundle("m", "a", gpus=4)], str(tmp_path))
    asked = ("--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--cpus-per-task=4")
    assert all(f"#SBATCH {option}\n" in script for option in asked)
    assert "SKYBENCH_CORES" not in script


def test_cells_with_jobs_that_wait_or_run_are_not_submitted_again(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    request = request_in(tmp_path)
    slurm.submit([bundle("m", "a", "b"), bundle("n", "c")], request)
    fake.says("squeue", "17_0|RUNNING|None", "17_1|PENDING|Priority")
    assert slurm.submit([bundle("m", "b"), bundle("n", "c")], request) is None
    again = slurm.submit([bundle("m", "b", "d"), bundle("n", "c")], request)
    assert again is not None
    assert again.cells == {"0001.json": ["d"]}
    fake.says("squeue")
    fake.says("sacct", "17_0|TIMEOUT|2026-01-01T00:00:00", "17_1|COMPLETED|2026-01-01T00:00:00")
    last = slurm.submit([bundle("m", "b"), bundle("n", "c")], request)
    assert last is not None
    assert last.cells == {"0001.json": ["b"], "0002.json": ["c"]}


def test_what_sbatch_refuses_leaves_nothing(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.refuses("sbatch: error: invalid partition specified: gqu")
    with pytest.raises(SkybenchError, match="invalid partition specified: gqu"):
        slurm.submit([bundle("m", "a")], request_in(tmp_path))
    assert read_runs(tmp_path / "runs") == []
    assert [p for p in (tmp_path / "runs").rglob("*") if p.is_file()] == []


def test_a_submission_that_breaks_off_is_known_so_far(fake: FakeSlurm, tmp_path: Path) -> None:
    request = request_in(tmp_path, resources={"array_limit": "1"})
    save = job_files.save_run

    def refuse(*given: Any) -> None:
        save(*given)
        if any(given[1].jobs.values()):
            fake.refuses("QOSMaxSubmitJobPerUserLimit")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_files, "save_run", refuse)
        with pytest.raises(SkybenchError, match="QOSMaxSubmitJobPerUserLimit"):
            slurm.submit([bundle("m", "a"), bundle("n", "b")], request)
    assert [run.jobs for run in read_runs(tmp_path / "runs")] == [
        {"0001.json": "17", "0002.json": ""}
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "there is no SLURM here"),
        ({"timeout": 5.0}, "--resources time=8h"),
        ({"resources": {"gpus": "0.5"}}, "whole GPUs"),
    ],
)
def test_what_cannot_be_submitted_is_said_before(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "resources" in changes:
        install_slurm(tmp_path, monkeypatch)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=message):
        slurm.submit([bundle("m", "a", gpus=1)], request_in(tmp_path, **changes))
    assert not (tmp_path / "runs").exists()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'skybench\[slurm\]'"):
        slurm.submit([bundle("m", "a")], request_in(tmp_path))


def planned(folder: Path) -> tuple[Request, list[Bundle]]:
    request = Request(
        models=["image_stats"], tasks=["scene_classification"], datasets=["aid"], data="demo",
        protocol="knn", limit=6, device="cpu", results=folder, executor="slurm",
    )  # fmt: skip
    return request, bundles(request, Planner(request).cells())


@untidy
def test_submitit_runs_a_bundle_in_this_process(tmp_path: Path) -> None:
    import submitit

    _, made = planned(tmp_path)
    run = job_files.new_run(tmp_path, made, force=False)
    file = job_files.bundle_file(tmp_path, run.name, "0001.json")
    executor = submitit.AutoExecutor(folder=tmp_path / "log", cluster="debug")
    assert executor.submit(BundleJob(), str(file)).result() == 0
    assert [r.status for r in store.read_records(tmp_path)[0]] == ["measured"] * 2
    assert job_files.read_state(tmp_path, run.name, "0001.json").word == "ended"


@untidy
def test_submitit_runs_a_bundle_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "CLUSTER", "local")
    request, made = planned(tmp_path)
    run = slurm.submit(made, request)
    assert run is not None
    limit = time.monotonic() + 200
    while (state := job_files.read_state(tmp_path, run.name, "0001.json")).word != "ended":
        assert time.monotonic() < limit, state
        time.sleep(0.2)
    records, skipped = store.read_records(tmp_path)
    assert sorted(r.fingerprint for r in records) == sorted(made[0].fingerprints)
    assert skipped == []
    assert replace(state, updated=0).finished == dict.fromkeys(made[0].fingerprints, "measured")
