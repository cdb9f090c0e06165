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
from skybench.training.distributed import SINGLE_PROCESS

from . import _training

Found = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each of two processes wrote of the trainings that `one` is of."""
    made = tmp_path_factory.mktemp("several")
    _training.begin(made / "begun by 1", SINGLE_PROCESS)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_", "RANK"))}
    words = [sys.executable, _training.__file__, "together", str(made), "2"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=clean, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def one() -> Found:
    return _training.together(SINGLE_PROCESS)


@pytest.fixture(scope="module")
def both(folder: Path) -> list[Found]:
    return [torch.load(folder / f"{rank}of2.pt", weights_only=True) for rank in range(2)]


def assert_same(several: list[Found], name: str, expected: dict[str, torch.Tensor]) -> None:
    """The numbers of all processes are the same, and those of one but for rounding."""
    for found in several:
        assert found[name].keys() == expected.keys()
    for key, value in expected.items():
        first, *others = (found[name][key] for found in several)
        assert all(torch.equal(first, other) for other in others), key
        torch.testing.assert_close(first, value, rtol=1e-4, atol=1e-5, msg=key)


def test_two_processes_make_the_steps_of_one(both: list[Found], one: Found) -> None:
    for found in both:
        assert found["loss"] == pytest.approx(one["loss"], abs=2e-5)
    assert_same(both, "numbers", one["numbers"])


def test_two_processes_normalise_as_one(both: list[Found], one: Found) -> None:
    """Running statistics among it: each sample counts once."""
    assert any("running_var" in name for name in one["normed"])
    assert_same(both, "normed", one["normed"])


def test_two_processes_go_on_where_one_stopped(both: list[Found], one: Found) -> None:
    """In the middle of an epoch: each sample of it is seen once."""
    assert_same(both, "resumed", one["normed"])
    assert [found["facts"]["resumed"] for found in both] == [1, 1]


def test_one_process_goes_on_where_two_stopped(folder: Path, one: Found) -> None:
    made, numbers = _training.go_on(folder / "begun by 2", SINGLE_PROCESS)
    assert made.more["resumed"] == 1
    assert_same([{"on": numbers}], "on", one["normed"])


def test_random_draws_of_fewer_processes_begin_anew_and_are_repeatable(folder: Path) -> None:
    state = torch.load(folder / "random" / "last.pt", weights_only=True)
    assert len(state["draws"]) == 2
    found = [_training.go_on(folder / "random", SINGLE_PROCESS, random=True) for _ in range(2)]
    assert all(made.more["resumed"] == 1 for made, _ in found)
    (_, first), (_, second) = found
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_all_processes_score_the_same_two_states(both: list[Found]) -> None:
    first, second = both
    last, best = first["states"]
    for mine, other in zip(first["states"], second["states"], strict=True):
        assert all(torch.equal(value, other[name]) for name, value in mine.items())
    assert all(torch.equal(value, first["normed"][name]) for name, value in last.items())
    assert any(not torch.equal(value, best[name]) for name, value in last.items())


def test_predictions_are_gathered_once_each_and_in_order(both: list[Found], one: Found) -> None:
    for found in (one, *both):  # 101 samples: no multiple of two
        assert found["said"] == list(range(101))


def test_the_record_has_the_error_of_another_process(folder: Path, both: list[Found]) -> None:
    """And not that its connection was closed."""
    status, note, trace = torch.load(folder / "failed.pt", weights_only=True)
    assert status == "failed"
    assert note == "rank 1: OutOfMemoryError: CUDA out of memory"
    first, _, second = trace.partition("Rank 0:")
    assert first.startswith("Rank 1:\nTraceback")
    assert "in measure" in first
    assert "in gather" in second


def test_more_devices_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="--devices 3 was given, but there are 1"):
        distributed.start_processes(3, "cuda")
    assert distributed.start_processes(1, "cuda") is distributed.SINGLE_PROCESS


def test_processes_are_not_started_where_they_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with pytest.raises(UsageError, match="notebook"):
        distributed.start_processes(2, "cpu")


def test_heads_keep_their_modules_and_numbers_when_normalisation_is_shared() -> None:
    from skybench.heads.dense import UPerNet
    from skybench.training.shared_norms import SharedBatchNorm, share_norms

    head = UPerNet([(8, 4), (8, 8)], 3, 8)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    objects = dict(head.named_modules())
    assert share_norms(head) == 9
    assert dict(head.named_modules()) == objects
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    kinds = [type(m) for m in head.modules()]
    assert kinds.count(SharedBatchNorm) == 9
    assert not any("Safe" in kind.__name__ for kind in kinds)
