"""Worker processes: what they tell, what they keep, and that none outlives its driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record
from skybench.executors import worker
from skybench.plan.request import Request

from ._fates import bundle, running

REQUEST = Request(
    models=["image_stats"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn", limit=12, device="cpu",
)  # fmt: skip


class Pipe:
    """Gives a worker bundles, and keeps what it sends."""

    def __init__(self, *given: tuple[str, bool]) -> None:
        self.given, self.sent = [*given], list[Any]()

    def recv(self) -> tuple[str, bool]:
        if not self.given:
            raise EOFError
        return self.given.pop(0)

    def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serves in this process, whose signals and group stay as they are."""
    monkeypatch.setattr(worker, "_lead_own_group", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return worker.serve


def test_a_worker_tells_records_and_what_it_refuses(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record("m", "t", "d", {"protocol": "knn"}, "measured", "demo", "a")

    def run(bundle: Any, report: Any, finished: Any, fail_fast: bool, planner: Any) -> None:
        if bundle.model == "full":
            raise OSError(28, "No space left on device", "/x")
        report("a", "head", 0, 9)
        finished("a", record)
        assert fail_fast

    monkeypatch.setattr(worker, "run_bundle", run)
    monkeypatch.setattr(worker.WarmPlanner, "planner", lambda *_: None)
    pipe = Pipe((bundle("m", "a").to_json(), True), (bundle("full", "b").to_json(), True))
    serve(pipe)
    assert pipe.sent == [
        ("ready", ()), ("report", ("a", "head", 0, 9)), ("record", ("a", record)), ("idle", ()),
        ("refused", ("No space left on device: /x",)), ("idle", ()),
    ]  # fmt: skip


def test_of_progress_within_a_stage_some_is_told() -> None:
    pipe: Any = Pipe()
    telling = worker.Telling(pipe.send)
    for done in range(1000):
        telling.report("a", "test", done, 1000)
    telling.report("a", "test", 1000, 1000)
    telling.report("b", "test", 0, 1000)
    told = [what for _, what in pipe.sent]
    assert told[0] == ("a", "test", 0, 1000)
    assert told[-2:] == [("a", "test", 1000, 1000), ("b", "test", 0, 1000)]
    assert len(told) < 100


def test_bundles_of_a_run_open_a_dataset_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planners = worker.WarmPlanner()
    first = planners.planner(REQUEST)
    first.cells()
    assert len(first.opened) == 3
    second = planners.planner(replace(REQUEST, models=["rcf"]))
    opened = []
    monkeypatch.setattr(type(second), "_opened", lambda *a: opened.append(a))
    assert [c.model.name for c in second.cells()] == ["rcf"]
    assert opened == []
    for other in (replace(REQUEST, data="/elsewhere"), replace(REQUEST, options={"bands": "ms"})):
        assert planners.planner(other).opened == {}


DRIVER = """
import sys, time
from skybench.executors.child import Child
from skybench.executors.slots import Slot
if __name__ == "__main__":
    child = Child(Slot(0, "", 1))
    while not child.was_ready:
        [*child.messages()]
        time.sleep(0.01)
    print(child.process.pid, flush=True)
    time.sleep(600)
"""


def test_a_worker_ends_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, "-P", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pid = driver.stdout.readline().strip()
        assert running([pid], 0) == [pid]
        os.kill(driver.pid, signal.SIGKILL)
    assert running([pid], 60) == []
