"""The recipes for demo data run from end to end, with their augmentations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells
from skybench.training import log

# What tests/skybench/test_trial.py does not run.
CELLS = [
    ("scene_classification", "ben_s2", ["resized_crop=0.67,1", "flip", "vflip"]),
    ("horizontal_detection", "dior", ["flip"]),
    ("oriented_detection", "fair1m", ["flip", "vflip", "rotate"]),
    (
        "change_detection",
        "levir_cd",
        ["flip", "vflip", "quarter"],
    ),
    ("change_detection", "dyna_s2", ["flip"]),
    ("multimodal_segmentation", "dyna_mm", ["resize_crop=0.5,2,0.75", "flip"]),
    ("multimodal_classification", "ben_mm", ["resized_crop=0.67,1", "flip", "vflip"]),
]


@pytest.mark.parametrize(
    ("task", "dataset", "augment"), CELLS, ids=[f"{t}/{d}" for t, d, _ in CELLS]
)
def test_a_cell_is_measured(task: str, dataset: str, augment: list[str], tmp_path: Path) -> None:
    request = Request(
        models=("galileo" if task.startswith("multimodal") else "ssl4eo",),  # the quicker one
        tasks=(task,),
        datasets=(dataset,),
        protocol="finetune",
        data="demo",
        limit=2,
        overrides={"epochs": "2", "batch": "1"},
        results=tmp_path,
        draw=0,
    )
    (record,) = run_cells(request)
    assert record.status == "measured", record.note
    (seed,) = record.seeds
    chosen = seed["chosen"]
    assert chosen["steps"] == 2 * record.samples["train"]
    assert len(chosen["loss"]) == 2
    assert all(math.isfinite(loss) and loss > 0 for loss in chosen["loss"])
    assert [*chosen["augment"]] == augment
    assert all(0 <= score <= 100 for score in record.scores.values() if score is not None)
    files = {p.name: p for p in tmp_path.rglob("*") if p.is_file()}
    assert files["curve.png"].read_bytes().startswith(b"\x89PNG")
    rows = [row for row in log.read_log(files[log.LOG]) if "loss" in row]
    assert [row["step"] for row in rows] == [*range(1, chosen["steps"] + 1)]
