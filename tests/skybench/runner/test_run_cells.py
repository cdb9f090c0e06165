"""What running a cell leaves beside its record, and what is refused before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import UsageError, registry
from skybench.plan.cell import to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.runner.run_cells import run_cells
from skybench.training import log

from ._finetuned import BASE, left, run

SMALL = {"epochs": "1", "width": "8", "size": "64"}


def test_segmentation_leaves_pictures(tmp_path: Path) -> None:
    changes = {"tasks": ("semantic_segmentation",), "datasets": ("potsdam",), "limit": 3}
    record = run(tmp_path, **changes, overrides=SMALL)
    pictures = {name for name in left(tmp_path) if name.endswith(".png")}
    assert len(pictures) == 1 + min(4, record.samples["test"])
    again = run(tmp_path / "b", **changes, overrides=SMALL, draw=0)
    assert left(tmp_path / "b") == {log.LOG, "curve.png"}
    assert again.scores == record.scores


def test_several_devices_are_for_fine_tuning(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which only a protocol that trains the backbone does"):
        run_cells(replace(BASE, protocol="linear", devices=2, device="cpu", results=tmp_path))


QUICK = Request(
    models=["image_stats"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn", limit=40,
)  # fmt: skip


def test_a_forced_repeat_that_fails_keeps_the_measured_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(QUICK, results=tmp_path)
    (first,) = run_cells(request)
    (path,) = tmp_path.rglob("*.json")
    kept = path.read_bytes(), path.with_suffix(".npz").read_bytes()

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError(99)

    with monkeypatch.context() as patch:
        patch.setattr("skybench.checks.flags.with_flags", broken)  # after predictions were made
        (again,) = run_cells(replace(request, force=True))
    assert again.status == "failed"
    assert again.note.startswith("an unexpected KeyError (test_run_cells.py, line ")
    assert f"the record of {first.made} stays (oa {first.scores['oa']:.2f})" in again.note
    assert (path.read_bytes(), path.with_suffix(".npz").read_bytes()) == kept
    assert path.with_suffix(store.FAILED).is_file()
    assert store.read_records(tmp_path) == ([first], [])
    assert run_cells(request) == [first]  # it is done still
    (repeated,) = run_cells(replace(request, force=True))
    assert repeated.scores == first.scores
    assert not path.with_suffix(store.FAILED).exists()
    beside = {path.with_suffix(end).name for end in (".npz", store.DRAWS)}
    assert {p.name for p in path.parent.iterdir()} == {path.name, *beside}


def test_a_repeat_without_predictions_leaves_none_of_an_earlier_run(tmp_path: Path) -> None:
    run_cells(replace(QUICK, results=tmp_path))
    run_cells(replace(QUICK, results=tmp_path, force=True, predictions=False))
    assert not [*tmp_path.rglob("*.npz")]


def test_a_record_says_which_versions_made_it(tmp_path: Path) -> None:
    (record,) = run_cells(replace(QUICK, results=tmp_path))
    assert {"skybench", "torch", "numpy", "pillow", "rasterio", "gdal", "scipy"} <= {
        *record.used["versions"]
    }
    assert record.used["cards"] == {
        "model": registry.model("image_stats").CARD.version,
        "dataset": registry.dataset("eurosat").CARD.version,
        "task": registry.task("scene_classification").version,
    }


LIGHT = """
import os, sys
opened, scan = [], os.scandir
os.scandir = lambda folder=".": opened.append(os.fspath(folder)) or scan(folder)
from skybench.cli import app
sys.argv = ["skybench", *sys.argv[1:]]
try:
    app.main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "torchvision", "timm", "pandas", "sklearn", "matplotlib", "torchgeo"}
assert not heavy & {*sys.modules}, heavy & {*sys.modules}
below = [path for path in opened if path.startswith(os.environ["SKYBENCH_RESULTS"])]
assert len(below) == len({*below}), below
"""


def test_a_finished_grid_imports_nothing_heavy(tmp_path: Path) -> None:
    """Every demo set is opened by its reader, and every record is read."""
    results = tmp_path / "runs"
    for cell in Planner(Request(models=["rcf", "imagenet"], data="demo", results=results)).cells():
        blank = to_record(cell)
        scored = replace(blank, status="measured", scores={"oa": 50.0}, note="")
        store.write_record(scored if cell.status == "planned" else blank, results)
    words = ["run", "--model", "rcf,imagenet", "--task", "all", "--data", "demo"]
    environment = {**os.environ, "SKYBENCH_RESULTS": str(results)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LIGHT, *words], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "cells were done already" in done.stderr
    assert "OA" in done.stdout
