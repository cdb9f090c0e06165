"""A worker process as its driver sees it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.executors.child import Child, end_children
from skybench.executors.slots import Slot

from ._fates import bundle, install_worker, running


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    install_worker(tmp_path, monkeypatch)
    made = Child(Slot(0, "", 1))
    yield made
    end_children([made], gently=False)


def heard(process: Child, until: str) -> list[str]:
    kinds: list[str] = []
    while until not in kinds:
        assert process.pipe.poll(60)
        kinds += [kind for kind, _ in process.messages()]
    return kinds


def test_a_child_knows_the_cell_that_it_is_at(started: Child) -> None:
    assert (started.at_work, started.model, started.busy_for) == (False, "", 0.0)
    started.begin(bundle("m", "fine-0", "slow-1", "fine-2"), False)
    assert started.busy_for == 0.0  # imports do not count
    heard(started, "record")
    while started.stage != "start" or started.todo[0] != "slow-1":
        heard(started, "report")
    assert (started.at_work, started.model) == (True, "m")
    assert started.todo == ["slow-1", "fine-2"]
    assert started.busy_for > 0.0
    assert not started.gone
    os.kill(started.process.pid or 0, signal.SIGKILL)
    started.process.join(60)
    assert started.gone
    assert started.how_it_ended == ("its process was killed (SIGKILL, perhaps for want of memory)")


def test_a_child_with_nothing_to_do_ends_by_itself(started: Child) -> None:
    started.begin(bundle("m", "fine-0"), False)
    heard(started, "idle")
    assert (started.at_work, started.todo) == (False, [])
    end_children([started], gently=True)
    assert started.process.exitcode == 0
    assert running([str(started.process.pid)]) == []


def test_ctrl_c_is_the_drivers(started: Child) -> None:
    heard(started, "ready")
    os.kill(started.process.pid or 0, signal.SIGINT)
    started.begin(bundle("m", "fine-0"), False)
    heard(started, "record")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1, "ended with exit code 1"), (-11, "killed (SIGSEGV)"), (-60, "killed (signal 60)")],
)
def test_how_a_process_ended(code: int, expected: str) -> None:
    ended = SimpleNamespace(process=SimpleNamespace(exitcode=code))
    assert expected in Child.how_it_ended.fget(ended)  # type: ignore[attr-defined]
