from __future__ import annotations

import subprocess

import pytest

from skybench.bench import head_memory
from skybench.bench.head_memory import SIZES, Size, peak_bytes


def test_the_peak_of_a_process_of_its_own_is_given_in_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        return subprocess.CompletedProcess(words, 0, "2500000000\n")

    monkeypatch.setattr(subprocess, "run", run)
    rows = [*head_memory.time_head_memory("full")]
    assert [row.ours for row in rows] == [2.5, 2.5]
    assert [row.holds for row in rows] == ["yes", "yes"]
    assert "713,000 x 1,024, 62 classes, multinomial" in rows[0].what
    assert asked[0][-1] == '["fMoW", 713000, 1024, 62, false]'


@pytest.mark.parametrize("several", [False, True])
def test_what_the_process_measures_includes_its_features(several: bool) -> None:
    assert peak_bytes(Size("", 300, 20, 3, several)) > 50e6  # torch alone takes more


def test_full_sizes_are_those_of_the_datasets() -> None:
    fmow, earth = SIZES["full"]
    assert (fmow.samples, fmow.classes, fmow.several) == (713_000, 62, False)
    assert (earth.classes, earth.several) == (19, True)
