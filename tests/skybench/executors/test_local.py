"""Cells in several processes: whatever happens to a process costs its own cell, and once only."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import SkybenchError
from skybench.executors import local
from skybench.executors.slots import Slot

from ._fates import Heard, bundle, install_worker, notes, running

SLOTS = [Slot(0, "", 1), Slot(1, "", 1)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Heard]:
    install_worker(tmp_path, monkeypatch)

    def call(*bundles: Any, slots: Any = SLOTS, fail_fast: bool = False, **limits: Any) -> Heard:
        heard = Heard()
        local.run_locally(bundles, heard.events, fail_fast, slots, **limits)
        assert running(notes(tmp_path, "started")) == []
        return heard

    return call


def test_each_cell_runs_once_and_a_process_goes_on_with_the_next_bundle(
    run: Callable[..., Heard], tmp_path: Path
) -> None:
    cells = [f"fine-{n}" for n in range(8)]
    heard = run(*(bundle("ab"[n // 4], cells[n], seconds=1.0) for n in range(8)))
    assert heard.records == dict.fromkeys(cells, "measured")
    assert sorted(notes(tmp_path, "ran")) == cells
    assert len(notes(tmp_path, "started")) <= 2


@pytest.mark.parametrize(
    ("fate", "how"),
    [
        ("kill", r"killed \(SIGKILL, perhaps for want of memory\) in the stage 'start'"),
        ("exit", "ended with exit code 9 in the stage 'start'"),
    ],
)
def test_a_process_that_dies_costs_one_cell_which_is_tried_again_alone(
    fate: str, how: str, run: Callable[..., Heard], tmp_path: Path
) -> None:
    cells = ["fine-0", f"{fate}once-1", "fine-2", f"{fate}-3", "fine-4"]
    heard = run(bundle("a", *cells), bundle("b", "fine-5"))
    assert heard.records == dict.fromkeys(
        ["fine-0", f"{fate}once-1", "fine-2", "fine-4", "fine-5"], "measured"
    )
    assert [*heard.lost] == [f"{fate}-3"]
    expected = f"its process (was )?{how}; tried again alone, its process"
    assert re.match(expected, heard.lost[f"{fate}-3"])
    ran = notes(tmp_path, "ran")
    assert {name: ran.count(name) for name in cells} == {
        "fine-0": 1, f"{fate}once-1": 2, "fine-2": 1, f"{fate}-3": 2, "fine-4": 1,
    }  # fmt: skip
    assert ran[-2:] == [f"{fate}once-1", f"{fate}-3"]  # when all others had ended


def test_what_a_killed_process_left_half_written_is_removed(
    run: Callable[..., Heard], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "litter").touch()  # the worker makes a name of it that says whose it is
    lost = bundle("a", "litteronce-0")
    run(replace(lost, request=replace(lost.request, results=results)))
    assert [*results.iterdir()] == []


def test_a_cell_without_memory_is_tried_again_alone(
    run: Callable[..., Heard], tmp_path: Path
) -> None:
    heard = run(bundle("a", "memoryonce-0", "fine-1"), bundle("b", "memory-2"))
    assert heard.records == {"memoryonce-0": "measured", "fine-1": "measured", "memory-2": "failed"}
    assert notes(tmp_path, "ran").count("memory-2") == 2


def test_a_hung_process_is_killed_with_its_loaders(
    run: Callable[..., Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skybench.executors.child.GRACE", 0.2)
    heard = run(bundle("a", "hang-0", "fine-1"), bundle("b", "hangonce-2"), timeout=1.0)
    assert heard.records == {"fine-1": "measured", "hangonce-2": "measured"}
    assert heard.lost == {
        "hang-0": "it took more than 1 s in the stage 'start'; tried again alone, "
        "it took more than 1 s in the stage 'start'"
    }
    assert running(notes(tmp_path, "loaders")) == []


def test_a_bundle_that_is_refused_is_told_at_the_end(run: Callable[..., Heard]) -> None:
    heard = Heard()
    with pytest.raises(SkybenchError, match=r"^not as planned$"):
        local.run_locally(
            [bundle("a", "refused-0", "fine-1"), bundle("a", "refused-2"), bundle("b", "fine-3")],
            heard.events, False, SLOTS[:1],
        )  # fmt: skip
    assert heard.records == {"fine-3": "measured"}


def test_the_first_failure_ends_all_if_asked(run: Callable[..., Heard]) -> None:
    """The slow one never ends by itself."""
    heard = run(bundle("a", "fails-0", "fine-1"), bundle("b", "slow-2"), fail_fast=True)
    assert heard.records == {"fails-0": "failed"}


def test_no_cell_starts_after_the_deadline(run: Callable[..., Heard]) -> None:
    heard = run(bundle("a", "fine-0", "fine-1"), slots=SLOTS[:1], deadline=time.monotonic() - 1)
    assert heard.records == {}


def test_a_failure_of_the_driver_leaves_no_process(
    run: Callable[..., Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skybench.executors.child.GRACE", 0.2)
    heard = Heard()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    events = heard.events._replace(report=interrupt)
    with pytest.raises(KeyboardInterrupt):
        local.run_locally([bundle("a", "hang-0"), bundle("b", "hang-1")], events, False, SLOTS)
    assert running(notes(tmp_path, "started") + notes(tmp_path, "loaders")) == []


def test_processes_that_cannot_start_are_told(
    run: Callable[..., Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "fated_worker.py").write_text("raise SystemExit(7)")
    with pytest.raises(SkybenchError, match=r"cannot start .*exit code 7"):
        run(bundle("a", "fine-0"))


def test_each_process_sees_its_gpu(run: Callable[..., Heard], tmp_path: Path) -> None:
    run(bundle("a", "fine-0"), bundle("b", "fine-1"), slots=[Slot(0, "3", 1), Slot(1, "5", 1)])
    assert sorted(line.split()[1] for line in notes(tmp_path, "started")) == ["3", "5"]
