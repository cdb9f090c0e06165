"""What a dry run prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def test_a_dry_run_prints_cells_and_reasons_and_runs_nothing(skybench: Any, tmp_path: Path) -> None:
    words = ["run", "--model", "image_stats,rcf", "--task", "all", "--dataset", "isaid,aid"]
    words += ["--data", "demo", "--dry-run"]
    cells = skybench(*words, "--json").json
    for cell in cells:
        fields = {"model", "task", "dataset", "protocol", "sensors", "status", "reason"}
        assert fields <= set(cell)
        assert cell["status"] in ("planned", "done", "cannot run")
        assert bool(cell["reason"]) == (cell["status"] == "cannot run")
    assert {c["status"] for c in cells if c["model"] == "rcf"} == {"planned"}
    text = skybench(*words)
    assert "no feature maps" in re.sub(r"\s+", " ", text.out)
    plain = re.sub(r"\s+", " ", text.out)
    assert "6 cells: 5 planned, 1 cannot run." in plain
    assert re.search(r"Disk: at most [\d.]+ .B in \S+, [\d.]+ MB of it decoded images", plain)
    assert all("disk" in cell for cell in cells)
    assert not (tmp_path / "runs").exists()
