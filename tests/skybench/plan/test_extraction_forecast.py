"""Forecasts of extraction: each image once a model, by the kind of its network."""

from __future__ import annotations

from typing import Any

import pytest

from skybench.core.model import Model
from skybench.plan import extraction_forecast, forecast, gpus, network_input
from skybench.plan.cell import Cell
from skybench.plan.extraction_forecast import REACHED, ExtractionForecaster
from skybench.plan.footprint import count_operations
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.weights.load import load_model

H100 = gpus.pick_gpu("h100-80")


def plan(*datasets: str, **wanted: Any) -> tuple[Planner, list[Cell]]:
    request = {"models": ["caco"], "tasks": ["scene_classification"], "data": "demo"}
    asked = {**request, "weights": {"": "random"}, "datasets": datasets, **wanted}
    planner = Planner(Request(**asked))
    return planner, planner.cells()


@pytest.mark.parametrize(
    ("name", "kind"), [("caco", "convolutions"), ("gfm", "windows"), ("scale_mae", "attention")]
)
def test_the_kind_of_a_network_is_told(name: str, kind: str) -> None:
    assert extraction_forecast.network_kind(load_model(name, "random", "tiny")) == kind


def test_the_rate_is_the_reached_share_of_the_peak() -> None:
    planner, (cell, _) = plan("aid")
    told = ExtractionForecaster(planner, H100)(cell)
    rate = H100.single * 1e12 * REACHED["convolutions"] / (told["gflops"] * 1e9)
    assert told["images_per_s"] == pytest.approx(rate, rel=0.01)
    assert told["hours"] == pytest.approx(told["images"] / rate / 3600, abs=1e-4)


def test_images_that_several_columns_share_are_extracted_once() -> None:
    planner, cells = plan("aid")  # 20 % and 50 % of the same images
    count = ExtractionForecaster(planner, H100)
    every = sum(len(planner.open("aid", part, cells[0].recipe)) for part in ("train20", "test20"))
    assert [count(cell)["images"] for cell in cells] == [every, 0]


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_half_precision_has_its_own_peak(precision: str) -> None:
    planner, (cell, _) = plan("aid", precision=precision)
    assert ExtractionForecaster(planner, H100)(cell)["peak_tflops"] == H100.half


def test_without_the_data_the_counts_are_those_of_the_card() -> None:
    planner, (cell, *_) = plan("fmow_s2", data="", variant="tiny")
    told = ExtractionForecaster(planner, H100)(cell)
    assert told["images"] == 712_874 + 84_939
    assert told["note"].startswith("without the data")


def test_operations_are_those_that_a_footprint_counts() -> None:
    planner, cells = plan("levir_cd", tasks=["change_detection"], models=["gfm"])
    told = ExtractionForecaster(planner, H100)(cells[0])
    view = network_input.network_input(planner, cells[0])
    body, _, _ = forecast.Forecaster(planner, H100).body(cells[0], view)  # date by date
    assert told["gflops"] == pytest.approx(body.flops / 1e9, rel=1e-3)


def test_one_network_is_built_a_model_and_traced_once_a_shape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []
    traced: list[Any] = []

    def building(cell: Cell, view: network_input.NetworkInput) -> Model:
        built.append(cell.model.name)
        return network_input.build_network(cell, view)

    def counting(run: Any) -> float:
        traced.append(run)
        return count_operations(run)

    monkeypatch.setattr(extraction_forecast, "build_network", building)
    monkeypatch.setattr(extraction_forecast, "count_operations", counting)
    planner, cells = plan("aid", "resisc45", models=["caco", "dofa"])
    forecaster = ExtractionForecaster(planner, H100)
    assert all(forecaster(cell)["gflops"] > 0 for cell in cells)
    assert len(cells) == 8
    assert built == ["caco", "dofa"]
    assert len(traced) == 2  # images of both datasets have 96 pixels
    assert len(forecaster.traced) == 1  # the last network alone is held


def test_a_model_without_operations_costs_nothing_and_an_unknown_count_is_unknown() -> None:
    planner, (cell, *_) = plan("aid", models=["image_stats"])
    told = ExtractionForecaster(planner, H100)(cell)
    assert (told["gflops"], told["images"], told["hours"]) == (0, 240, 0)
    planner, (cell,) = plan("fair1m", tasks=["oriented_detection"], data="", variant="tiny")
    told = ExtractionForecaster(planner, H100)(cell)
    assert (told["images"], told["hours"]) == (0, None)  # nobody publishes how many tiles there are


def test_the_plan_shows_hours_for_one_gpu_and_eight() -> None:
    planner, cells = plan("aid")
    rows: list[dict[str, Any]] = [{} for _ in cells]
    note = extraction_forecast.add_extraction(rows, cells, planner, H100)
    assert "hours on one h100-80" in note
    assert "7 % of convolutions" in note
    columns = extraction_forecast.extraction_columns(rows[0]["forecast"])
    assert [*columns] == ["GFLOPs", "images/s", "hours"]
    unknown = gpus.Gpu("T4", 15.0, float("nan"), float("nan"))
    told = ExtractionForecaster(planner, unknown)(cells[0])
    assert extraction_forecast.extraction_columns(told)["hours"] == "unknown"


def test_a_network_that_cannot_be_traced_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no number here")

    monkeypatch.setattr(extraction_forecast, "count_operations", broken)
    planner, (cell, _) = plan("aid")
    told = ExtractionForecaster(planner, H100)(cell)
    assert told == {"gpu": "h100-80", "unknown": "RuntimeError: no number here"}
    columns = extraction_forecast.extraction_columns(told)
    assert columns["GFLOPs"] == "unknown: RuntimeError: no number here"
