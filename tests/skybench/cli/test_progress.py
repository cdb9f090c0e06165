"""What a run shows on stderr."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.cli import progress
from skybench.executors.estimates import TimeLeft

CELL: Any = SimpleNamespace(
    model=SimpleNamespace(name="toy"), dataset_id="aid", recipe=SimpleNamespace(label="20 %")
)
RECORD: Any = SimpleNamespace(
    main=("oa", 81.5), model="toy", dataset="aid", status="measured",
    recipe={"label": "20 %", "protocol": "finetune"}, used={},
)  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only item is the time."""
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_short_cell_is_one_line(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    watch = progress.Watch(1)
    with watch.live:
        for step in range(100):
            clock[0] += 0.5
            watch.report(CELL, f"training, loss {step}", step + 1, 100)
        watch.finished(CELL, RECORD)
    said = capsys.readouterr().err.splitlines()
    assert said == ["[1/1] toy on aid 20 %, finetune: measured: oa 81.50 (50 s)"]


def test_the_time_left_of_a_run_is_estimated_cell_by_cell(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """The second cell is to take ten times as long; the mean pace of cells would not know."""
    first, second = (SimpleNamespace(**vars(CELL), fingerprint=name) for name in "ab")
    watch = progress.Watch(2, TimeLeft({"a": 10.0, "b": 100.0}, clock=lambda: clock[0]))
    with watch.live:
        for cell in (first, second):
            watch.report(cell, "head", 0, 1)  # type: ignore[arg-type]
            clock[0] += 20.0
            watch.finished(cell, RECORD)  # type: ignore[arg-type]
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition("(")[2] for line in lines] == ["20 s, 0:03:20 left)", "40 s)"]


def test_a_long_training_is_a_line_a_minute(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = progress.Watch(1)
    with watch.live:
        for step in range(1000):
            clock[0] += 1
            watch.report(CELL, f"training, loss {1 / (step + 1):.4f}, 35 images/s", step + 1, 1000)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 16
    first = "toy / aid 20 %: training, loss 0.0167, 35 images/s: 6 %, left 0:15:40"
    assert said[0] == first


def test_time_left_counts_the_validations_between(clock: list[float]) -> None:
    watch = progress.Watch(1)
    for epoch in range(4):
        for step in range(10):
            clock[0] += 1
            watch.report(CELL, f"training, loss {step}", 10 * epoch + step + 1, 100)
        for image in range(5):
            clock[0] += 2
            watch.report(CELL, "validation", image + 1, 5)
    clock[0] += 1
    watch.report(CELL, "training, loss 0", 41, 100)
    assert watch.clocks[id(CELL), "training"].left == "0:01:58"  # 40 steps in 80 s, 59 to go


def test_a_resumed_training_is_judged_by_its_own_pace(clock: list[float]) -> None:
    watch = progress.Watch(1)
    for done in (900, 901, 902):
        watch.report(CELL, "training", done, 1000)
        clock[0] += 10
    assert watch.clocks[id(CELL), "training"].left == "0:16:10"


def test_each_seed_and_cell_has_its_own_pace(clock: list[float]) -> None:
    watch = progress.Watch(2)
    for _ in range(2):
        for seconds in (1, 3):  # a slower seed
            watch.report(CELL, "training", 1, 4)
            assert watch.clocks[id(CELL), "training"].left == "-"
            clock[0] += seconds
            watch.report(CELL, "training", 2, 4)
            assert watch.clocks[id(CELL), "training"].left == f"0:00:0{2 * seconds}"
        watch.finished(CELL, RECORD)


def test_bars_show_loss_and_time_left(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    watch = progress.Watch(1)
    with watch.live:
        for step in (1, 2):
            clock[0] += 90
            watch.report(CELL, "training, loss 0.1234, 35 images/s", step, 50)
        watch.live.refresh()
    (line,) = {x for x in shown.getvalue().splitlines() if "0.1234" in x and "1:12:00" in x}
    assert "35 images/s" in line
    assert "  4%" in line


def test_a_bar_says_each_step_once_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.Bar() as bar:
        for what in ("fetching a", "fetching b"):
            for done in range(5):
                bar(what, done, 5)
    assert capsys.readouterr().err.splitlines() == ["fetching a", "fetching b"]
