"""The log of a training on a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.training.log import LOG, TrainingLog, read_log


def take(told: TrainingLog, first: int, last: int) -> None:
    for step in range(first, last + 1):
        told.step(step, 1, 1.0, 1e-3, samples=4)


def test_a_full_disk_while_resuming_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrainingLog(tmp_path) as told:
        take(told, 1, 8)
    before = (tmp_path / LOG).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with TrainingLog(tmp_path) as told:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            told.resume(5)
        take(told, 6, 9)  # there is space again, but what came before must not be replaced
    assert "No space left" in told.lost
    assert (tmp_path / LOG).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [LOG]


@pytest.mark.parametrize("steps", [1, 40, 400])
def test_lines_that_a_full_disk_has_no_room_for_are_lost_alone(steps: int, tmp_path: Path) -> None:
    """The process may write files of so many bytes: the system refuses, as a full disk does."""
    code = (
        "import pathlib, resource, signal, sys; from skybench.training.log import TrainingLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with TrainingLog(pathlib.Path(sys.argv[1])) as told:\n"
        "    told.step(1, 1, 0.5, 0.1, 4)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))\n"
        "    for step in range(2, 2 + int(sys.argv[2])): told.step(step, 1, 0.5, 0.1, 4)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "    told.score(1, 50.0)\n"
        "    told.step(1000, 2, 0.5, 0.1, 4)\n"
        "print(told.lost)"
    )
    words = [sys.executable, "-c", code, str(tmp_path), str(steps)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"{tmp_path} cannot be written: " in done.stdout
    assert len(done.stdout.splitlines()) == 1
    rows = read_log(tmp_path / LOG)
    assert [r["step"] for r in rows if "loss" in r] == [1, 1000]
    assert [r["val"] for r in rows if "val" in r] == [50.0]


def test_a_disk_that_is_full_at_the_start_costs_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with TrainingLog(tmp_path / "a") as told:
        take(told, 1, 3)
    assert "No space left" in told.lost
    assert told.progress_text().startswith("training, loss 1.0000, ")


@pytest.mark.parametrize("when", ["made", "told", "closed"])
def test_tensorboard_on_a_full_disk_costs_its_lines_alone(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Writer:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.full("made")

        def full(self, now: str) -> None:
            if now == when:
                raise OSError(errno.ENOSPC, "No space left on device")

        def add_scalar(self, *_: Any) -> None:
            self.full("told")

        def close(self) -> None:
            self.full("closed")

    stand_in = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    with TrainingLog(tmp_path, tensorboard=True) as told:
        take(told, 1, 3)
    assert "No space left" in told.lost
    assert [r["loss"] for r in read_log(tmp_path / LOG)] == [1.0] * 3
