"""Several processes that train together, against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import UsageError
from skybench.training import distributed

from . import _training


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process and each of two wrote of the same training."""
    made = tmp_path_factory.mktemp("several")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_", "RANK"))}
    for count in (1, 2):
        words = [sys.executable, _training.__file__, "together", str(made), str(count)]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=clean, timeout=240
        )
        assert done.returncode == 0, done.stderr
    return made


def test_two_processes_make_the_steps_of_one(folder: Path) -> None:
    one = torch.load(folder / "0of1.pt", weights_only=True)
    first, second = (torch.load(folder / f"{r}of2.pt", weights_only=True) for r in range(2))
    assert first["loss"] == second["loss"] == pytest.approx(one["loss"], abs=2e-5)
    for name, value in one["numbers"].items():
        assert torch.equal(first["numbers"][name], second["numbers"][name])
        torch.testing.assert_close(first["numbers"][name], value, rtol=1e-4, atol=1e-5)


def test_after_training_all_processes_have_one_network(folder: Path) -> None:
    """On CPUs each counts what it saw in batch normalisation for itself."""
    first, second = (torch.load(folder / f"{r}of2.pt", weights_only=True) for r in range(2))
    for name, value in first["normed"].items():
        assert torch.equal(second["normed"][name], value), name


def test_all_processes_score_the_same_two_states(folder: Path) -> None:
    first, second = (torch.load(folder / f"{r}of2.pt", weights_only=True) for r in range(2))
    last, best = first["states"]
    for one, other in zip(first["states"], second["states"], strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert all(torch.equal(value, first["normed"][name]) for name, value in last.items())
    assert any(not torch.equal(value, best[name]) for name, value in last.items())


def test_predictions_are_gathered_once_each_and_in_order(folder: Path) -> None:
    for name in ("0of1", "0of2", "1of2"):  # 101 samples: no multiple of two
        assert torch.load(folder / f"{name}.pt", weights_only=True)["said"] == list(range(101))


def test_more_devices_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="--devices 3 was given, but there are 1"):
        distributed.start_processes(3, "cuda")
    assert distributed.start_processes(1, "cuda") is distributed.SINGLE_PROCESS


def test_a_process_knows_whether_it_helps_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "NODE_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert not distributed.is_helper_process()
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert not distributed.is_helper_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.is_helper_process()


def test_heads_keep_their_modules_and_numbers_when_normalisation_is_shared() -> None:
    """What `FabricProcesses.wrap` does on GPUs: parts are replaced, the head's own objects stay."""
    from skybench.heads.dense import UPerNet

    head = torch.nn.Sequential(UPerNet([(8, 4), (8, 8)], 3, 8))
    before = {name: value.clone() for name, value in head.state_dict().items()}
    convert: Any = torch.nn.SyncBatchNorm.convert_sync_batchnorm
    assert convert(head) is head
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    kinds = {type(m) for m in head.modules()}
    assert torch.nn.SyncBatchNorm in kinds
    assert not kinds & {torch.nn.BatchNorm2d}
