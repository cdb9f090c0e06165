from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import SkybenchError
from skybench.training import checkpoints, log

from . import _training
from ._training import RECIPE, trained


class Killed(BaseException):
    """What ends a training in the middle."""


def interrupted(folder: Path, step: int, **given: Any) -> None:
    def report(_: str, done: int, __: int) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        trained(folder=folder, report=report, **given)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("step", range(1, 10))
def test_a_training_goes_on_bit_by_bit_wherever_it_stopped(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, numbers = trained()
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    interrupted(tmp_path, step)
    again, resumed = trained(folder=tmp_path)
    assert same(numbers, resumed)
    assert (again.steps, again.losses) == (whole.steps, whole.losses)
    # The step whose report was cut off came before its checkpoint: step 1 starts anew.
    assert again.facts().get("resumed", 0) == (1 if step > 1 else 0)
    steps = [row["step"] for row in log.read_log(tmp_path / log.LOG) if "loss" in row]
    assert steps == list(range(1, 10))


def test_a_killed_process_loses_nothing_but_its_last_step(tmp_path: Path) -> None:
    words = [sys.executable, _training.__file__, "killed", str(tmp_path), "5"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again, resumed = trained(folder=tmp_path)
    assert again.facts()["resumed"] == 1
    assert same(trained()[1], resumed)


@pytest.mark.parametrize("optimizer", ["", "adam", "sgd=0.9"])
def test_two_interruptions_are_counted_and_change_nothing(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    recipe = replace(RECIPE, optimizer=optimizer)
    interrupted(tmp_path, 3, recipe=recipe)
    interrupted(tmp_path, 7, recipe=recipe)
    again, resumed = trained(recipe, folder=tmp_path)
    assert again.facts()["resumed"] == 2
    assert same(trained(recipe)[1], resumed)


def test_the_best_state_survives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    recipe = replace(RECIPE, validate=1)

    def run(**given: Any) -> tuple[Any, dict[str, Tensor]]:
        values = iter([50.0, 90.0, 70.0][3 - given.pop("left", 3) :])
        return trained(recipe, score=lambda: next(values), **given)

    whole, numbers = run()
    assert whole.facts()["validation"] == [[1, 50.0], [2, 90.0], [3, 70.0]]
    assert whole.facts()["best_epoch"] == 2
    values = iter([50.0, 90.0])
    interrupted(tmp_path, 8, recipe=recipe, score=lambda: next(values))
    again, resumed = run(left=1, folder=tmp_path)
    assert again.facts()["validation"] == whole.facts()["validation"]
    assert same(numbers, resumed)
    assert not same(numbers, trained()[1])  # which is the last state


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_training_stopped_while_it_is_scored_is_scored_again(
    epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    recipe, values = replace(RECIPE, validate=1), [50.0, 90.0, 70.0]
    scored = iter(values)
    whole, numbers = trained(recipe, score=lambda: next(scored))
    early = iter(values[: epoch - 1])

    def stopped() -> float:
        if (value := next(early, None)) is None:
            raise Killed
        return value

    with pytest.raises(Killed):
        trained(recipe, score=stopped, folder=tmp_path)
    late = iter(values[epoch - 1 :])
    again, resumed = trained(recipe, score=lambda: next(late), folder=tmp_path)
    assert again.facts() == {**whole.facts(), "resumed": 1}
    assert same(numbers, resumed)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_checkpoint_that_does_not_fit_is_left_alone_and_said(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    if content is None:
        interrupted(tmp_path, 4, recipe=replace(RECIPE, lr=0.01))
    else:
        (tmp_path / checkpoints.LAST).write_bytes(content)
    again, numbers = trained(folder=tmp_path)
    assert same(trained()[1], numbers)
    assert "resumed" not in again.facts()
    rows = log.read_log(tmp_path / log.LOG)
    assert any("starts anew" in row.get("why", "") for row in rows)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"identity": Trap()}, tmp_path / checkpoints.LAST, pickle_module=pickle)
    trained(folder=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SPARE", 1e30)
    _, numbers = trained(replace(RECIPE, validate=1), score=lambda: 1.0, folder=tmp_path)
    assert not list(tmp_path.glob("*.pt*"))
    assert any("GB" in row.get("why", "") for row in log.read_log(tmp_path / log.LOG))
    assert numbers


def test_a_write_that_fails_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(torch, "save", full)
    recipe = replace(RECIPE, validate=1)
    made, numbers = trained(recipe, score=lambda: 1.0, folder=tmp_path, keep_weights=True)
    assert not list(tmp_path.glob("*.pt*"))
    assert "Disk quota exceeded" in made.facts()["weights_not_kept"]
    rows = log.read_log(tmp_path / log.LOG)
    assert any("Disk quota exceeded" in row.get("why", "") for row in rows)
    monkeypatch.undo()
    assert same(trained(recipe, score=lambda: 1.0)[1], numbers)


def test_a_full_disk_costs_the_log_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    made, numbers = trained(folder=tmp_path)
    assert "No space left on device" in made.facts()["log_not_kept"]
    assert not [*tmp_path.iterdir()]
    monkeypatch.undo()
    expected, same_numbers = trained(folder=tmp_path)
    assert "log_not_kept" not in expected.facts()
    assert made.losses == expected.losses
    assert same(same_numbers, numbers)


@pytest.mark.parametrize("gone", [True, False])
def test_without_its_best_state_a_training_starts_anew(
    gone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which was removed, or could not be written where the last state could."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    recipe, values = replace(RECIPE, validate=1), [50.0, 90.0, 70.0]
    scored = iter(values)
    _, numbers = trained(recipe, score=lambda: next(scored))
    write = checkpoints.Checkpoints._write

    def picky(self: Any, name: str, state: Any) -> str:
        full = name == checkpoints.BEST and (tmp_path / checkpoints.BEST).is_file() and not gone
        return "the disk is full" if full else write(self, name, state)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "_write", picky)
        early = iter(values)
        interrupted(tmp_path, 8, recipe=recipe, score=lambda: next(early))
    if gone:
        (tmp_path / checkpoints.BEST).unlink()
    late = iter(values)
    again, resumed = trained(recipe, score=lambda: next(late), folder=tmp_path)
    assert again.facts()["best_epoch"] == 2
    assert "resumed" not in again.facts()
    assert same(numbers, resumed)


def test_a_best_state_that_another_run_removed_is_said(tmp_path: Path) -> None:
    values = iter([90.0, 50.0, 40.0])

    def score() -> float:
        value = next(values)
        if value < 50:
            (tmp_path / checkpoints.BEST).unlink()
        return value

    with pytest.raises(SkybenchError, match=r"best\.pt was removed"):
        trained(replace(RECIPE, validate=1), score=score, folder=tmp_path)


def test_nothing_but_the_log_and_what_was_asked_for_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    _, numbers = trained(folder=tmp_path, keep_weights=True)
    for name in ("last.pt.tmp-1", "log.jsonl.tmp-1", ".best.pt.0a1b.tmp", ".log.jsonl.0a1b.tmp"):
        (tmp_path / name).write_bytes(b"of a broken write")
    checkpoints.remove_checkpoints(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {log.LOG, checkpoints.KEPT_FILE}
    kept = torch.load(tmp_path / checkpoints.KEPT_FILE, weights_only=True)
    assert kept.pop("skybench") == {}
    assert same(kept, numbers)


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, states: list[torch.Tensor], used: int) -> None:
    """As many GPUs as there are states of their generators, of which one is in use."""
    answers = {"is_initialized": True, "device_count": len(states), "current_device": used}
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda answer=answer: answer)

    def index(device: Any) -> int:
        given = torch.device(device).index
        return used if given is None else int(given)

    def set_state(state: torch.Tensor, device: Any = "cuda") -> None:
        states[index(device)] = state

    def no_more(_: Any = None) -> None:
        raise AssertionError("a GPU that is not in use was touched")

    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device="cuda": states[index(device)])
    monkeypatch.setattr(torch.cuda, "set_rng_state", set_state)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", no_more)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", no_more)


@pytest.mark.parametrize("former", [False, True])
def test_a_training_resumes_with_fewer_gpus(former: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun on the third of four GPUs, or on the first by a version that kept all states."""
    marks = [torch.tensor([n], dtype=torch.uint8) for n in range(5)]
    pretend_gpus(monkeypatch, marks[:4], used=2)
    kept = checkpoints.rng_states()
    assert kept["cuda"] == [marks[2]]
    if former:
        kept["cuda"] = marks[:4]
    left = [marks[4]]
    pretend_gpus(monkeypatch, left, used=0)
    checkpoints.set_rng_states(kept)
    assert left == [marks[0 if former else 2]]


def test_only_the_generator_in_use_is_forked(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    one, other, drawn = (torch.tensor([n], dtype=torch.uint8) for n in range(3))
    states = [one, other]
    pretend_gpus(monkeypatch, states, used=1)
    for device in ("cuda", "cpu"):
        with checkpoints.fork_rng(device):
            states[:] = [drawn, drawn]
            torch.rand(1)
        assert states == ([drawn, other] if device == "cuda" else [drawn, drawn])
    assert not recwarn.list
