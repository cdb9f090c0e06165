"""Cores for loading; see skybench.data.cores."""

from __future__ import annotations

import os

import pytest

from skybench.data import cores


def test_a_process_has_the_cores_that_it_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 4}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores.available() == 3


@pytest.mark.parametrize(("count", "expected"), [(8, 4), (1, 1)])
def test_processes_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, count: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert cores.available() == expected


def test_processes_that_run_cells_beside_each_other_have_their_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv(cores.SHARE, "3")
    assert cores.available() == 3
    monkeypatch.setenv(cores.SHARE, "12")
    assert cores.available() == 8
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # a share that two processes of a training have
    monkeypatch.setenv(cores.SHARE, "4")
    assert cores.available() == 2
