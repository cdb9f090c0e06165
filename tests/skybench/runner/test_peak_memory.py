"""The peak of memory is of what ran since, not of the whole process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skybench.runner.peak_memory import PeakMemory

BLOCK = 40_000_000  # bytes


def test_the_peak_is_that_since_the_start() -> None:
    big = torch.ones(4 * BLOCK // 4)
    high = PeakMemory("cpu").peak()
    del big
    memory = PeakMemory("cpu")
    if not memory.anew:
        pytest.skip("this system cannot measure anew")
    small = torch.ones(BLOCK // 4)
    assert memory.peak()["peak_bytes"] < high["peak_bytes"] - BLOCK
    del small


def test_a_system_that_cannot_measure_anew_says_so(tmp_path: Path) -> None:
    found = PeakMemory("cpu", tmp_path / "none").peak()
    assert list(found) == ["process_peak_bytes"]
    assert found["process_peak_bytes"] > 1e6
    (tmp_path / "status").write_text("VmPeak: 3 kB\nVmHWM:\t   77 kB\n")
    assert PeakMemory("cpu", tmp_path).peak() == {"peak_bytes": 77 * 1024}
