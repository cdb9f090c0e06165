"""What a dry run prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def test_a_dry_run_prints_cells_and_reasons_and_runs_nothing(skybench: Any, tmp_path: Path) -> None:
    words = ["run", "--model", "image_stats,rcf", "--task", "all", "--data", "demo", "--dry-run"]
    cells = skybench(*words, "--json").json
    for cell in cells:
        fields = {"model", "task", "dataset", "protocol", "sensors", "status", "reason"}
        assert fields <= set(cell)
        assert cell["status"] in ("planned", "done", "cannot run")
        assert bool(cell["reason"]) == (cell["status"] == "cannot run")
    assert {c["status"] for c in cells if c["model"] == "rcf"} == {"planned"}
    text = skybench(*words)
    assert "no feature maps" in re.sub(r"\s+", " ", text.out)
    assert re.search(r"\d+ cells: .* Features to compute: at most [\d.]+ GB", text.out)
    assert not (tmp_path / "runs").exists()
