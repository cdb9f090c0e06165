"""Slots; there is no GPU here, so the variables alone are looked at."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.data import cores
from skybench.executors import slots
from skybench.plan.request import Request

ASKED = Request(models=["rcf"])


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the number of GPUs that torch sees."""
    monkeypatch.setattr(slots, "DRIVERS", ("/",))
    monkeypatch.delenv(slots.GPU, raising=False)
    monkeypatch.setattr(slots, "usable_cores", lambda: 16)

    def setter(count: int) -> None:
        fake = SimpleNamespace(cuda=SimpleNamespace(device_count=lambda: count))
        monkeypatch.setitem(__import__("sys").modules, "torch", fake)

    return setter


def test_a_process_a_gpu_unless_asked_otherwise(gpus: Any) -> None:
    gpus(8)
    assert slots.count_slots(ASKED, 99) == 8
    assert slots.count_slots(ASKED, 5) == 5  # bundles
    assert slots.count_slots(replace(ASKED, jobs=3), 99) == 3
    assert slots.count_slots(replace(ASKED, jobs=1), 99) == 1
    assert slots.count_slots(replace(ASKED, jobs=0), 99) == 16
    assert slots.count_slots(replace(ASKED, device="cpu"), 99) == 1
    assert slots.count_slots(replace(ASKED, devices=8), 99) == 1  # which one network has
    gpus(1)
    assert slots.count_slots(ASKED, 99) == 1


def test_slots_have_the_gpus_in_turn_and_share_the_cores(
    gpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(2)
    made = slots.make_slots(ASKED, 5)
    assert [s.gpu for s in made] == ["0", "1", "0", "1", "0"]
    assert {s.cores for s in made} == {3}
    monkeypatch.setenv(slots.GPU, "4,GPU-ab")  # of a scheduler
    assert [s.gpu for s in slots.make_slots(ASKED, 2)] == ["4", "GPU-ab"]
    assert [s.gpu for s in slots.make_slots(ASKED, 1)] == [""]


def test_without_a_driver_torch_is_not_asked(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(8)
    monkeypatch.setattr(slots, "DRIVERS", ("/nowhere",))
    monkeypatch.setattr("sys.platform", "linux")
    assert slots.visible_gpus("auto") == []


def test_the_environment_of_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(slots.THREADS, raising=False)
    slot = slots.Slot(0, "3", 2)
    assert slot.environment == {cores.SHARE: "2", slots.THREADS: "2", slots.GPU: "3"}
    monkeypatch.setenv(slots.THREADS, "7")  # the user's word
    assert slots.THREADS not in slot.environment
    with slots.with_environment({slots.THREADS: "1", "SKYBENCH_NEW": "x"}):
        assert (os.environ[slots.THREADS], os.environ["SKYBENCH_NEW"]) == ("1", "x")
    assert os.environ[slots.THREADS] == "7"
    assert "SKYBENCH_NEW" not in os.environ
