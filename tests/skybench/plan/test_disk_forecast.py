"""What a plan writes to the disk is told beforehand, and is what a run writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skybench.core import folders
from skybench.plan.cell import Cell
from skybench.plan.disk_forecast import Disk, DiskForecaster, add_disk, disk_table, disk_total
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _shared_cache: Path) -> None:
    """A cache for this test alone, but for the demo data, and budgets."""
    (_shared_cache / "demo").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "demo").symlink_to(_shared_cache / "demo")
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "1000")
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "1000")


def request(task: str, *datasets: str, **wanted: Any) -> Request:
    asked = {"models": ["caco"], "data": "demo", "weights": {"": "random"}, **wanted}
    return Request(tasks=[task], datasets=datasets, **asked)


def plan(task: str, *datasets: str, **wanted: Any) -> tuple[list[Cell], list[Disk]]:
    planner = Planner(request(task, *datasets, **wanted))
    cells = planner.cells()
    return cells, add_disk([{} for _ in cells], cells, planner)


def written(below: str, *suffixes: str) -> int:
    files = (p for p in (folders.cache() / below).rglob("*") if p.suffix in suffixes)
    return sum(path.stat().st_size for path in files)


def test_a_run_writes_what_was_told(tmp_path: Path) -> None:
    wanted = {"overrides": {"epochs": "1"}, "limit": 6, "results": tmp_path}
    _, (told,) = plan("semantic_segmentation", "isaid", **wanted)
    assert told.images > 0  # tiles are decoded once for one pass
    run_cells(request("semantic_segmentation", "isaid", **wanted))
    assert written("decoded", ".bin") == pytest.approx(told.decoded, rel=0.01)
    assert written("features", ".npy") == pytest.approx(told.pooled + told.dense, rel=0.05)
    again = DiskForecaster(Planner(request("semantic_segmentation", "isaid", **wanted)))
    (cell,) = again.planner.cells()
    assert cell.status == "done"
    assert again(cell) == Disk()


def test_whole_images_are_not_decoded_for_one_pass_but_for_several() -> None:
    cells, once = plan("scene_classification", "aid")
    assert [d.decoded for d in once] == [0, 0]
    assert once[0].pooled == 240 * 4 * cells[0].model.dim
    assert once[1].pooled == 0  # 50 % reads the images that 20 % has had
    _, often = plan("scene_classification", "aid", protocol="finetune")
    assert often[0].images == 240
    assert often[0].decoded == 240 * (3 * 96 * 96 + 8)
    assert often[1].images == 0
    assert [d.pooled for d in often] == [0, 0]  # a backbone that learns leaves no features


def test_series_of_arrays_and_series_of_whole_images_are_left_where_they_are() -> None:
    _, (months,) = plan("multimodal_segmentation", "dyna_mm", models=["dofa"])
    assert months.decoded == 0  # a cube's months are files of their own
    _, pastis = plan("multimodal_segmentation", "pastis_mm", models=["dofa"], protocol="finetune")
    assert pastis[0].decoded == 0


def test_what_the_disk_cannot_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "0.001")
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0.001")
    cells, disk = plan("semantic_segmentation", "isaid")
    assert disk[0].too_large
    assert (disk[0].pooled, disk[0].dense) == (0, 0)
    assert disk[0].streamed > 1e6
    (row,) = disk_table(cells, disk)
    assert row["images"] == "0"
    assert row["decoded images"].endswith(" MB too large")
    assert row["dense features"].endswith(" MB too large")
    assert "at most 0.0 MB" in disk_total(disk)
    assert "1.0 MB are allowed for the images of a dataset" in disk_total(disk)


def test_without_the_data_the_card_tells() -> None:
    cells, (isaid,) = plan("semantic_segmentation", "isaid", data="", protocol="frozen")
    assert cells[0].lacks == "data"
    assert isaid.images == 33_978 + 11_644
    assert isaid.decoded == isaid.images * 896 * 896 * 4  # three bands and the mask: 146 GB
    _, (levir,) = plan("change_detection", "levir_cd", data="")
    assert 4e9 < levir.decoded < 5e9
    _, (pastis, _) = plan("multimodal_segmentation", "pastis_mm", data="", models=["dofa"])
    assert pastis.decoded == 0


def test_a_cell_that_cannot_run_writes_nothing() -> None:
    _, disk = plan("semantic_segmentation", "isaid", models=["image_stats"])
    assert disk == [Disk()]
    _, disk = plan("semantic_segmentation", "isaid", models=["image_stats"], data="")
    assert disk == [Disk()]


def test_the_rows_are_plain_numbers() -> None:
    planner = Planner(request("scene_classification", "eurosat"))
    rows: list[dict[str, Any]] = [{}]
    cells = planner.cells()
    add_disk(rows, cells, planner)
    assert rows[0]["disk"] == {
        "decoded_images": 0, "decoded_bytes": 0, "decoded_fits": True, "dense_bytes": 0,
        "streamed_bytes": 0,
        "pooled_bytes": 210 * 4 * cells[0].model.dim,
    }  # fmt: skip
