"""The script for the first minutes on a GPU runs here in its small form."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_small_steps_give_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    script, out = runpy.run_path(str(FOLDER / "gpu_check.py")), tmp_path / "rows.jsonl"
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--tiny", "--out", str(out), "heads", "memory"])
    script["main"]()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["step"] for row in rows] == ["heads"] * 4 + ["memory"]
    assert not [row for row in rows if "failed" in row]
    assert rows[-1]["predicted"] == rows[-1]["of"]
