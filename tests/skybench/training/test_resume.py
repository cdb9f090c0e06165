from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench import journal, resume

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
    monkeypatch.setattr(resume, "EVERY", 0.0)
    interrupted(tmp_path, step)
    again, resumed = trained(folder=tmp_path)
    assert same(numbers, resumed)
    assert (again.steps, again.losses) == (whole.steps, whole.losses)
    # The step whose report was cut off came before its checkpoint: step 1 starts anew.
    assert again.facts().get("resumed", 0) == (1 if step > 1 else 0)
    steps = [row["step"] for row in journal.read(tmp_path / journal.LOG) if "loss" in row]
    assert steps == list(range(1, 10))


def test_a_killed_process_loses_nothing_but_its_last_step(tmp_path: Path) -> None:
    words = [sys.executable, _training.__file__, "killed", str(tmp_path), "5"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again, resumed = trained(folder=tmp_path)
    assert again.facts()["resumed"] == 1
    assert same(trained()[1], resumed)


def test_two_interruptions_are_counted_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY", 0.0)
    interrupted(tmp_path, 3)
    interrupted(tmp_path, 7)
    again, resumed = trained(folder=tmp_path)
    assert again.facts()["resumed"] == 2
    assert same(trained()[1], resumed)


def test_the_best_state_survives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY", 0.0)
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


def test_patience_ends_a_training_that_gets_no_better() -> None:
    values = iter([10.0, 30.0, 20.0, 30.0, 90.0])
    recipe = replace(RECIPE, epochs=5, validate=1, patience=2)
    made, _ = trained(recipe, score=lambda: next(values))
    assert made.steps == 4 * 3
    assert made.facts()["best_epoch"] == 2


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_checkpoint_that_does_not_fit_is_left_alone_and_said(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY", 0.0)
    if content is None:
        interrupted(tmp_path, 4, recipe=replace(RECIPE, lr=0.01))
    else:
        (tmp_path / resume.LAST).write_bytes(content)
    again, numbers = trained(folder=tmp_path)
    assert same(trained()[1], numbers)
    assert "resumed" not in again.facts()
    rows = journal.read(tmp_path / journal.LOG)
    assert any("starts anew" in row.get("why", "") for row in rows)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"identity": Trap()}, tmp_path / resume.LAST, pickle_module=pickle)
    trained(folder=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY", 0.0)
    monkeypatch.setattr(resume, "SPARE", 1e30)
    _, numbers = trained(replace(RECIPE, validate=1), score=lambda: 1.0, folder=tmp_path)
    assert not list(tmp_path.glob("*.pt*"))
    assert any("GB" in row.get("why", "") for row in journal.read(tmp_path / journal.LOG))
    assert numbers


def test_nothing_but_the_log_and_what_was_asked_for_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "EVERY", 0.0)
    _, numbers = trained(folder=tmp_path, keep=True)
    (tmp_path / "last.pt.tmp-1").write_bytes(b"of a broken write")
    resume.clear(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {journal.LOG, resume.KEPT}
    assert same(torch.load(tmp_path / resume.KEPT, weights_only=True), numbers)
