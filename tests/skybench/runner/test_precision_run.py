from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skybench.core import FitContext
from skybench.features.precision_distance import Measured
from skybench.plan import planner, precision_choice
from skybench.plan.request import AUTO, Request
from skybench.runner import precision_run
from skybench.runner.run_cells import run_cells
from skybench.training.distributed import SingleProcess


def request(results: Path, **changes: Any) -> Request:
    given = {"models": ["rcf"], "tasks": ["scene_classification"], "datasets": ["eurosat"],
             "data": "demo", "limit": 6, "protocol": "knn", "results": results}  # fmt: skip
    return Request(**{**given, **changes})


def test_a_cell_is_measured_once_and_then_is_that_of_the_precision_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def measure(extractor: Any, batches: Any, lower: Any) -> dict[str, Measured]:
        measured.append(sum(len(batch.keys) for batch in batches))
        assert lower == ("tf32", "fp16", "bf16")
        return {"": Measured(0, 1), "bf16": Measured(0.01234, 3), "fp16": Measured(1, 4)}

    for module in (precision_choice, precision_run):
        monkeypatch.setattr(module, "gpu_name", lambda _: "a GPU of " + tmp_path.name)
    monkeypatch.setattr(precision_run, "measure_precisions", measure)
    asked = request(tmp_path, precision=AUTO)
    (record,) = run_cells(asked)
    assert record.used["precision"] == record.recipe["precision"] == "bf16"
    assert record.used["precision_tried"] == {
        "limit": 0.02, "float32": [0.0, 1.0], "bf16": [0.0123, 3.0], "fp16": [1.0, 4.0],
    }  # fmt: skip
    assert measured == [6]
    (cell,) = planner.Planner(asked).cells()
    assert (cell.status, cell.fingerprint) == ("done", record.fingerprint)
    (cell,) = planner.Planner(request(tmp_path, precision="bf16")).cells()
    assert cell.status == "done"


def test_where_it_cannot_be_measured_the_run_is_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(precision_choice, "gpu_name", lambda _: "another GPU")
    monkeypatch.setattr(precision_run, "measure_precisions", broken)
    (record,) = run_cells(request(tmp_path, precision=AUTO))
    assert (record.status, record.used["precision"]) == ("measured", "float32")
    assert "no kernel image is available); float32 is taken." in capsys.readouterr().err
    (cell,) = planner.Planner(request(tmp_path)).cells()
    assert cell.status == "done"


def test_of_several_processes_all_take_what_the_first_one_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Second(SingleProcess):
        rank, size = 1, 2

        def __init__(self, first: Any) -> None:
            self.first = first

        def gather(self, value: Any) -> list[Any]:
            return [self.first, value]

    mine = {"": Measured(0, 1), "bf16": Measured(0.01, 3)}
    monkeypatch.setattr(precision_run, "_measured", lambda *_: mine)
    monkeypatch.setattr(precision_run, "remember_choice", lambda *_: None)
    (cell,) = planner.Planner(request(Path(), precision="float32")).cells()
    for first, chosen in (
        (({"": Measured(0, 3), "bf16": Measured(0.01, 1)}, ""), ""),
        ((mine, ""), "bf16"),
        (({}, "no kernel image"), ""),
    ):
        setting = FitContext(0, workers=Second(first))
        assert precision_run.settle_precision(cell, setting).recipe.precision == chosen
