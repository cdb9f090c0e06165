"""Energy counters, from a made sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.runner import energy


def zone(root: Path, name: str, microjoules: int) -> Path:
    (folder := root / name).mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def test_what_was_spent_since_the_meter_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = zone(tmp_path, "intel-rapl:0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", 1)  # a part of the package, not counted twice
    read = energy.packages
    monkeypatch.setattr(energy, "packages", lambda: read(tmp_path))
    meter = energy.Meter()
    counter.write_text("7500000\n")
    assert meter.joules() == {"rapl package-0": 2.5}
    counter.write_text("1000\n")  # it began again
    assert meter.joules() == {}


def test_a_machine_without_counters_gives_nothing(tmp_path: Path) -> None:
    assert energy.packages(tmp_path / "none") == {}
    (zone(tmp_path, "intel-rapl:0", 1)).unlink()
    assert energy.packages(tmp_path) == {}
