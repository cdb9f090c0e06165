"""The log of a training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import UsageError
from skybench.report import training_curve
from skybench.training import log
from skybench.training.log import LOG, TrainingLog, read_log

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from([*sorted(log.NUMBERS), "event"])
ROWS = st.dictionaries(NAMES, JSON | st.just("resumed"))


def take(told: TrainingLog, first: int, last: int, loss: float = 1.0) -> None:
    for step in range(first, last + 1):
        told.step(step, (step - 1) // 10 + 1, loss, 1e-3, samples=4)


def of(path: Path, name: str) -> list[Any]:
    return [r[name] for r in read_log(path / LOG) if name in r]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only item is the time."""
    now = [100.0]
    monkeypatch.setattr(log, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def test_steps_validations_and_events_are_lines(tmp_path: Path, clock: list[float]) -> None:
    with TrainingLog(tmp_path) as told:
        clock[0] += 2
        told.step(1, 1, 0.5, 1e-3, samples=8)
        clock[0] += 1
        told.step(2, 1, 0.25, 5e-4, samples=8)
        clock[0] += 60  # validation is no part of the pace
        told.score(1, 81.23456789)
        clock[0] += 1
        told.event("out of memory", micro=4, where=Path("x"))
        clock[0] += 4
        told.step(3, 2, 0.125, 1e-4, samples=8)
    assert [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()] == [
        {"step": 1, "epoch": 1, "rate": 1e-3, "loss": 0.5, "images_per_s": 4, "seconds": 2},
        {"step": 2, "epoch": 1, "rate": 5e-4, "loss": 0.25, "images_per_s": 5.33333, "seconds": 3},
        {"step": 2, "epoch": 1, "val": 81.2346, "seconds": 63},
        {"event": "out of memory", "step": 2, "micro": 4, "where": "x", "seconds": 64},
        {
            "step": 3,
            "epoch": 2,
            "rate": 1e-4,
            "loss": 0.125,
            "images_per_s": 3.42857,
            "seconds": 68,
        },
    ]


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with TrainingLog(None) as told:
        told.resume(3)
        take(told, 4, 9)
        told.score(1, 50.0)
        told.event("out of memory")
    assert not [*tmp_path.iterdir()]
    assert told.progress_text().startswith("training, loss 1.0000, ")


def test_a_new_training_replaces_the_log_of_the_one_before(tmp_path: Path) -> None:
    for last in (9, 4):
        with TrainingLog(tmp_path / "a") as told:
            take(told, 1, last)
    assert of(tmp_path / "a", "step") == [1, 2, 3, 4]


def test_thinning_keeps_all_early_steps_and_bounds_the_lines(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as told:
        take(told, 1, 9001)
    steps = of(tmp_path, "step")
    assert steps[:2000] == [*range(1, 2001)]
    assert len(steps) == 2000 + 1000 + 1000 + 125 + 1
    assert steps[-2:] == [9000, 9001]  # the last step always has a line
    lines = 2000 + sum(1000 * 2**k // log.steps_per_line(1000 * 2**k) for k in range(1, 20))
    assert lines <= 21_000  # of a billion steps


def test_steps_that_share_a_line_give_their_mean(tmp_path: Path, clock: list[float]) -> None:
    with TrainingLog(tmp_path) as told:
        take(told, 1, 2000)
        for step, loss, seconds in ((2001, 1.0, 1), (2002, 3.0, 3)):
            clock[0] += seconds
            told.step(step, 1, loss, 1e-3, samples=4)
    last = read_log(tmp_path / LOG)[-1]
    assert (last["step"], last["loss"], last["seconds"]) == (2002, 2.0, 4.0)


def test_steps_that_are_told_sixteen_at_once_have_an_even_pace(
    tmp_path: Path, clock: list[float]
) -> None:
    with TrainingLog(tmp_path) as told:
        for first in range(1, 321, 16):
            clock[0] += 2
            take(told, first, first + 15)
    paces = of(tmp_path, "images_per_s")
    assert {*paces[63:]} == {32.0}
    assert {*paces[15:64:16]} == {32.0}


def test_a_loss_that_is_not_finite_leaves_json_that_every_reader_knows(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as told:
        told.step(1, 1, float("nan"), 1e-3, samples=4)
    row = json.loads((tmp_path / LOG).read_text(), parse_constant=pytest.fail)
    assert "loss" not in row
    assert row["step"] == 1


def test_a_killed_process_leaves_all_its_lines(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal, pathlib; from skybench.training.log import TrainingLog\n"
        "told = TrainingLog(pathlib.Path(sys.argv[1]))\n"
        "for step in range(1, 31): told.step(step, 1, 0.5, 0.1, 4)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode < 0
    assert of(tmp_path, "step") == [*range(1, 31)]


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path: Path, clock: list[float]) -> None:
    with TrainingLog(tmp_path) as told:
        for step in range(1, 26):
            clock[0] += 1
            told.step(step, 1, 1.0, 1e-3, samples=4)
            if step % 10 == 0:
                told.score(step // 10, float(step))
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 26, "epo')  # killed here
    assert read_log(tmp_path / LOG)[-1] == {"event": "unreadable line", "line": 28}
    clock[0] += 1000
    with TrainingLog(tmp_path) as told:
        told.resume(10)
        clock[0] += 2
        told.step(11, 2, 0.5, 1e-3, samples=4)
    rows = read_log(tmp_path / LOG)
    assert of(tmp_path, "val") == [10.0]
    assert [r["step"] for r in rows if "loss" in r] == [*range(1, 12)]
    assert rows[-2] == {"event": "resumed", "step": 10, "seconds": 10}
    assert rows[-1]["seconds"] == 12  # of the training, not of the night between
    assert [p.name for p in tmp_path.iterdir()] == [LOG]


def test_within_one_process_a_training_can_go_back_too(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as told:
        take(told, 1, 8)
        told.resume(5)
        take(told, 6, 7)
    assert [r["step"] for r in read_log(tmp_path / LOG) if "loss" in r] == [1, 2, 3, 4, 5, 6, 7]


def test_a_crash_while_resuming_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrainingLog(tmp_path) as told:
        take(told, 1, 8)
    before = (tmp_path / LOG).read_bytes()

    def crash(_: int) -> None:
        raise MemoryError

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(MemoryError):
        TrainingLog(tmp_path).resume(5)
    assert (tmp_path / LOG).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [LOG]


def test_two_logs_begun_at_once_are_both_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def between(number: int) -> None:
        monkeypatch.undo()
        fsync(number)
        with TrainingLog(tmp_path) as other:
            take(other, 1, 2)

    monkeypatch.setattr(os, "fsync", between)
    with TrainingLog(tmp_path) as told:
        take(told, 1, 4)
    assert told.lost == ""
    assert of(tmp_path, "step") == [1, 2, 3, 4]


@given(st.binary(max_size=300) | st.lists(JSON | ROWS, max_size=6).map(
    lambda rows: "\n".join(json.dumps(r) for r in rows).encode()
))  # fmt: skip
def test_no_bytes_break_the_reader_or_the_curve(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    rows = read_log(path)
    assert len(rows) == sum(bool(line.strip()) for line in content.split(b"\n"))
    training_curve.training_figure([rows])


def test_what_is_nested_without_end_is_one_bad_line(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text('{"step": 1}\n' + "[" * 100_000 + '\n\n{"step": 2}\n')
    assert read_log(tmp_path / LOG) == [
        {"step": 1}, {"event": "unreadable line", "line": 2}, {"step": 2}
    ]  # fmt: skip


def test_what_is_said_is_of_the_last_steps(clock: list[float]) -> None:
    told = TrainingLog(None)
    for step, loss in enumerate([9.0] * 5 + [0.125] * log.RECENT, 1):
        clock[0] += 0.1
        told.step(step, 1, loss, 1e-3, samples=4)
    assert told.progress_text() == "training, loss 0.1250, 40 images/s"
    for _ in range(log.RECENT):
        clock[0] += 8
        told.step(30, 1, 2e-5, 1e-3, samples=4)
    assert told.progress_text() == "training, loss 2.00e-05, 0.5 images/s"


def test_tensorboard_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            said.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            said.append((name, value, step))

        def close(self) -> None:
            said.append(("closed",))

    stand_in = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    with TrainingLog(tmp_path, tensorboard=True) as told:
        told.step(1, 1, 0.5, 1e-3, samples=4)
        told.score(1, 70.0)
    assert said[0] == (str(tmp_path), 0)
    assert {("loss", 0.5, 1), ("rate", 1e-3, 1), ("val", 70.0, 1)} < {*said}
    assert said[-1] == ("closed",)
    said.clear()
    with TrainingLog(tmp_path, tensorboard=True) as told:
        told.resume(1)
    assert said == [(str(tmp_path), 2), ("closed",)]


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own imports
def test_tensorboard_itself_reads_what_it_was_told(tmp_path: Path) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    reader = pytest.importorskip(name, reason="TensorBoard is not installed")
    with TrainingLog(tmp_path, tensorboard=True) as told:
        told.step(1, 1, 0.5, 1e-3, samples=4)
        told.step(2, 1, 0.25, 1e-3, samples=4)
        told.score(1, 70.0)
    with TrainingLog(tmp_path, tensorboard=True) as told:  # killed and resumed after step 1
        told.resume(1)
        told.step(2, 1, 0.125, 1e-3, samples=4)
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"loss", "rate", "images_per_s"} <= {*events.Tags()["scalars"]}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.5), (2, 0.125)]
    lines = [r for r in log.read_log(tmp_path / "log.jsonl") if "loss" in r]
    assert [(r["step"], r["loss"]) for r in lines] == [(1, 0.5), (2, 0.125)]


def test_tensorboard_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r'pip install "skybench\[tensorboard\]"'):
        TrainingLog(tmp_path, tensorboard=True)
    TrainingLog(tmp_path)
