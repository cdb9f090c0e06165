from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.bench import cells
from skybench.core import Record, SkybenchError


def test_folders_are_as_before_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYBENCH_RESULTS")
    before = os.environ["SKYBENCH_CACHE"]
    with cells.own_folders(tmp_path / "cache", tmp_path / "records"):
        assert os.environ["SKYBENCH_CACHE"] == str(tmp_path / "cache")
    assert os.environ["SKYBENCH_CACHE"] == before
    assert "SKYBENCH_RESULTS" not in os.environ


def test_what_did_not_run_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = Record("rcf", "t", "aid", {"protocol": "knn"}, "measured", "real", "ab")
    monkeypatch.setattr("skybench.run", lambda **options: [fine])
    assert cells.measure_cells(model="rcf") == [fine]
    broken = replace(fine, status="failed", note="its disk is full")
    monkeypatch.setattr("skybench.run", lambda **options: [fine, broken])
    with pytest.raises(SkybenchError, match="rcf on aid did not run: its disk is full"):
        cells.measure_cells(model="rcf")
    with pytest.raises(SkybenchError, match="skybench show nothing failed"):
        cells.command("show", "nothing")
