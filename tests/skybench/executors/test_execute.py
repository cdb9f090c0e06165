"""Schedules that run: the same records whatever process a cell ran in, and whatever is killed."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record, UsageError
from skybench.executors import execute as module
from skybench.executors.child import Child
from skybench.executors.execute import execute
from skybench.executors.local import run_locally
from skybench.executors.schedule import make_schedule
from skybench.plan.cell import Cell
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.runner.run_cells import run_cells

REQUEST = Request(
    models=["image_stats", "rcf"], tasks=["scene_classification"],
    datasets=["eurosat", "aid", "ben_s2"], data="demo", protocol="knn", limit=12, jobs=2,
    device="cpu",
)  # fmt: skip


def told(record: Record) -> tuple[Any, ...]:
    """What two runs of a cell must agree in: all but times and speed."""
    used = {k: v for k, v in record.used.items() if k != "features"}
    return record.path, record.status, record.note, record.scores, record.intervals, used


def files(results: Path) -> dict[str, bytes]:
    """Everything below a folder; of records, and of replicates with their times, only the names."""
    timed = (".json", store.DRAWS)
    return {
        str(path.relative_to(results)): b"" if path.suffix in timed else path.read_bytes()
        for path in results.rglob("*") if path.is_file()
    }  # fmt: skip


def test_killed_processes_change_no_record_and_leave_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the first three cells that begin loses its process once, at a random report."""
    alone = run_cells(replace(REQUEST, results=tmp_path / "one"))
    assert len(alone) == 8
    request = replace(REQUEST, results=tmp_path / "two")
    rng, heard_of, kills = random.Random(0), dict[str, int](), dict[str, int]()
    children: list[Child] = []
    begin = Child.begin

    def noted(child: Child, *what: Any) -> None:
        children.append(child)
        begin(child, *what)

    def kill(cell: Cell, *_: Any) -> None:
        name = cell.fingerprint
        if len(kills) < 3:
            kills.setdefault(name, rng.randrange(1, 4))
        heard_of[name] = heard_of.get(name, 0) + 1
        if heard_of[name] == kills.get(name):
            (at,) = {c for c in children if c.todo[:1] == [name] and not c.gone}
            os.kill(at.process.pid or 0, signal.SIGKILL)

    monkeypatch.setattr(Child, "begin", noted)

    heard: list[str] = []
    schedule = make_schedule(request, Planner(request).cells())
    together = execute(request, schedule, kill, lambda c, r: heard.append(c.fingerprint))
    assert len(kills) == 3
    assert all(heard_of[name] > count for name, count in kills.items())  # and again
    assert [told(r) for r in together] == [told(r) for r in alone]
    assert sorted(heard) == sorted(c.fingerprint for c in schedule.cells)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    again = execute(request, make_schedule(request, Planner(request).cells()))
    assert [r.made for r in again] == [r.made for r in together]  # nothing is left to run


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Request, list[Cell]]:
    request = replace(REQUEST, results=tmp_path)
    return request, Planner(request).cells()


def with_executor(monkeypatch: pytest.MonkeyPatch, executor: Any) -> None:
    monkeypatch.setattr(module, "_executor", lambda *_: executor)


def test_a_lost_cell_is_a_failed_record(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request, cells = planned
    first, *others = (c.fingerprint for c in cells)
    measured = store.now()

    def executor(bundles: Any, events: Any, fail_fast: bool) -> None:
        assert [n for b in bundles for n in b.fingerprints] != []
        events.report(first, "head", 0, 1)
        events.lost(first, "its process was killed")
        events.finished(others[0], replace(blank, fingerprint=others[0]))

    blank = Record("m", "t", "d", {"protocol": "knn"}, "measured", "demo", "", made=measured)
    with_executor(monkeypatch, executor)
    heard: list[tuple[str, str]] = []
    made = execute(
        request,
        make_schedule(request, cells),
        lambda cell, stage, *_: heard.append((cell.fingerprint, stage)),
        lambda cell, record: heard.append((cell.fingerprint, record.status)),
    )
    assert heard == [(first, "head"), (first, "failed"), (others[0], "measured")]
    assert [r.fingerprint for r in made] == [first, others[0]]  # those that there are
    stored = store.find_record(request.results, made[0].path)
    assert stored is not None
    assert (stored.status, stored.note) == ("failed", "Its process was killed")


def test_two_cells_with_one_fingerprint_run_once(
    planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, cells = planned
    asked: list[str] = []

    def executor(bundles: Any, events: Any, fail_fast: bool) -> None:
        for name in (n for b in bundles for n in b.fingerprints):
            asked.append(name)
            events.finished(name, Record("m", "t", "d", {}, "measured", "demo", name))

    with_executor(monkeypatch, executor)
    made = execute(request, make_schedule(request, [cells[0], cells[0]]))
    assert asked == [cells[0].fingerprint]
    assert len(made) == 2


def test_what_needs_no_process_is_told_and_missing_data_stop_no_other_cell(
    planned: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, cells = planned
    some = [
        replace(cells[0], status="unavailable", lacks="data", reason="no data"),
        cells[1],
        replace(cells[2], status="cannot run", reason="no such sensor"),
    ]
    with_executor(monkeypatch, lambda *_: None)
    asked = replace(request, datasets=())
    made = execute(asked, make_schedule(asked, some))
    assert [r.note for r in made] == ["no data", "no such sensor"]


def test_processes_are_for_several_bundles_and_for_limits(planned: Any) -> None:
    request, cells = planned
    one = replace(request, jobs=1)

    def executor(asked: Request, of: list[Cell]) -> Any:
        return module._executor(asked, make_schedule(asked, of))

    assert executor(one, cells) is None
    assert executor(request, cells[:1]) is None
    assert executor(replace(one, timeout=5.0), []) is None
    both = executor(request, cells)
    assert both.func is run_locally
    assert len(both.keywords["slots"]) == 2
    assert len(executor(replace(one, timeout=5.0), cells).keywords["slots"]) == 1
    assert executor(replace(one, budget=9e9), cells).keywords["deadline"] < float("inf")
    nothing_fits = replace(one, budget=1e-9)
    assert execute(nothing_fits, make_schedule(nothing_fits, cells)) == []
    for other in ({"jobs": 2}, {"timeout": 1.0}, {"budget": 1.0}):
        with pytest.raises(UsageError, match="--jobs, --timeout and --budget are of cells"):
            executor(replace(one, devices=2, **other), cells)
    assert executor(replace(one, devices=2), cells) is None
