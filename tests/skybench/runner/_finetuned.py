"""A short fine-tuning on demo data, and the files that it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from skybench.core import Record
from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells

BASE = Request(
    models=("galileo",),
    tasks=("scene_classification",),
    datasets=("eurosat",),
    protocol="finetune",
    data="demo",
    limit=20,
    overrides={"epochs": "3"},
)


def run(folder: Path, **changes: object) -> Record:
    (record,) = run_cells(replace(BASE, results=folder, **changes))  # type: ignore[arg-type]
    assert record.status == "measured", record.note
    return record


def left(folder: Path) -> set[str]:
    beside = (".json", ".npz", ".draws")  # the record, its predictions and replicates
    return {p.name for p in folder.rglob("*") if p.is_file() and p.suffix not in beside}
