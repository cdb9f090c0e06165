"""Test images of which nobody has the labels: predicted and exported, never scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from skybench.analysis import compare
from skybench.core import UsageError
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import merge, store
from skybench.report import export, tables
from skybench.runner.run_cells import run_cells

ASKED = Request(
    models=("rcf",),
    tasks=("oriented_detection",),
    datasets=("fair1m",),
    data="demo",
    overrides={"train": "trainval", "test": "test", "epochs": "1", "size": "64"},
    limit=4,
)


def test_predictions_for_the_server_are_kept_and_exported_but_have_no_score(
    tmp_path: Path,
) -> None:
    (record,) = run_cells(replace(ASKED, results=tmp_path))
    assert record.status == "predicted", record.note
    assert (record.main, record.intervals, record.per_class) == (None, {}, {})
    assert record.samples["test"] >= 2
    assert "export" in record.note
    assert "chance" not in record.flags
    files = export.export_boxes(record, tmp_path, tmp_path / "out")
    assert sorted(p.name for p in files) == ["0.xml", "1.xml"]
    names = [ElementTree.parse(p).findtext("source/filename") for p in sorted(files)]
    assert names == ["0.tif", "1.tif"]
    (cell,) = Planner(replace(ASKED, results=tmp_path)).cells()
    assert cell.status == "done"
    (grid,) = tables.record_grids([record])
    assert grid.rows[0][-1] == "predicted"
    with pytest.raises(UsageError):
        compare.compare_models([record], tmp_path, ("rcf", "rcf"), "", "")
    merge.merge_results([tmp_path], tmp_path / "all")
    (there,) = store.read_records(tmp_path / "all")[0]
    assert (there.status, there.fingerprint) == ("predicted", record.fingerprint)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ({"train": "test"}, "nobody has the labels of FAIR1M's test, so not for train"),
        ({"val": "test"}, "nobody has the labels of FAIR1M's test, so not for val"),
        ({"test": "tests"}, "no split 'tests' for test; it has train, val, trainval, test"),
        ({"train": ""}, "no split '' for train"),
    ],
)
def test_splits_that_cannot_be_meant_are_refused(override: dict[str, str], reason: str) -> None:
    (cell,) = Planner(replace(ASKED, overrides=override)).cells()
    assert cell.status == "cannot run"
    assert reason in cell.reason
