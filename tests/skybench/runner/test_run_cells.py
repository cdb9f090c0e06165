"""What running a cell leaves beside its record, and what is refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import UsageError
from skybench.runner.run_cells import run_cells
from skybench.training import log

from ._finetuned import BASE, left, run


def test_segmentation_leaves_pictures(tmp_path: Path) -> None:
    changes = {"tasks": ("semantic_segmentation",), "datasets": ("potsdam",), "limit": 3}
    record = run(tmp_path, **changes, overrides={"epochs": "1", "width": "8"})
    pictures = {name for name in left(tmp_path) if name.endswith(".png")}
    assert len(pictures) == 1 + min(4, record.samples["test"])
    again = run(tmp_path / "b", **changes, overrides={"epochs": "1", "width": "8"}, draw=0)
    assert left(tmp_path / "b") == {log.LOG, "curve.png"}
    assert again.scores == record.scores


def test_several_devices_are_for_fine_tuning(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which only a protocol that trains the backbone does"):
        run_cells(replace(BASE, protocol="linear", devices=2, device="cpu", results=tmp_path))
