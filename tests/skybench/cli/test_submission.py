"""`skybench run --executor slurm`: what is shown before, and told after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.skybench.executors._slurm import FakeSlurm, install_slurm

pytest.importorskip("submitit")

RUN = (
    "run", "--model", "image_stats", "--task", "scene_classification", "--dataset", "eurosat,aid",
    "--data", "demo", "--protocol", "knn", "--limit", "6", "--executor", "slurm",
    "--device", "cpu", "--resources", "time=1h,partition=cpu",
)  # fmt: skip


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install_slurm(tmp_path, monkeypatch)


def test_a_dry_run_shows_bundles_and_script_and_submits_nothing(
    skybench: Any, slurm: FakeSlurm
) -> None:
    ended = skybench(*RUN, "--dry-run")
    assert ended.code == 0
    assert "Array 1 of 1, jobs: 2" in ended.out
    assert "  image_stats on aid: 2 cells, about 1 min" in ended.out
    assert "  image_stats on eurosat: 1 cell, about 1 min" in ended.out
    assert "#SBATCH --partition=cpu\n" in ended.out
    assert slurm.scripts == []
    assert isinstance(skybench(*RUN, "--dry-run", "--json").json, list)


def test_a_run_submits_and_says_how_to_look(
    skybench: Any, slurm: FakeSlurm, tmp_path: Path
) -> None:
    ended = skybench(*RUN)
    assert ended.code == 0
    assert len(slurm.scripts) == 1
    assert "gpus" not in slurm.scripts[0]
    assert "Submitted 3 cells in jobs of SLURM (2): 17." in ended.err
    assert f"skybench jobs --results {tmp_path / 'runs'}" in ended.err
    assert "To stop them: scancel 17" in ended.err
    slurm.says("squeue", "17_0|PENDING|Priority", "17_1|RUNNING|None")
    assert "Nothing was submitted" in skybench(*RUN).err
    assert "Nothing to submit" in skybench(*RUN, "--dry-run").out
    assert len(slurm.scripts) == 1
    states = [job["state"] for job in skybench("jobs", "--json").json]
    assert states == ["waits", "runs"]


def test_missing_data_end_the_command_before_anything_is_submitted(
    skybench: Any, slurm: FakeSlurm, tmp_path: Path
) -> None:
    ended = skybench(*RUN, "--data", str(tmp_path / "nothing"))
    assert ended.code == 2
    assert "not found" in ended.err
    assert slurm.scripts == []
    assert not (tmp_path / "runs" / ".jobs").exists()


def test_an_unknown_executor_is_named(skybench: Any) -> None:
    ended = skybench(*RUN, "--executor", "slrum")
    assert (ended.code, "slurm" in ended.err) == (2, True)
