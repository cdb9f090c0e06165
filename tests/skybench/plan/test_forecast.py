"""Forecasts of memory and time against what real networks keep."""

from __future__ import annotations

import copy
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skybench.cli import output
from skybench.core import Batch
from skybench.core.model import Model, encode
from skybench.plan import forecast, gpus
from skybench.plan.cell import Cell
from skybench.plan.footprint import Footprint, Tally, measure_footprint, to_meta
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.weights.load import load_model


def plan(**wanted: Any) -> tuple[Planner, list[Cell]]:
    planner = Planner(Request(**{"protocol": "finetune", "weights": {"": "random"}, **wanted}))
    return planner, planner.cells()


def batch(model: Model, count: int, side: int = 64) -> Batch:
    (sensor, *_) = model.card.inputs
    images = {sensor.name: torch.rand(count, 1, len(sensor.bands), side, side)}
    seen = {sensor.name: torch.ones(count, 1, dtype=torch.bool)}
    days = {sensor.name: torch.full((count, 1), 18_000)}
    return Batch(("a",) * count, images, seen, days, torch.zeros(count, 2))


def predicted(model: Model, side: int = 64) -> Footprint:
    hollow = copy.deepcopy(model)
    to_meta(hollow)

    def run(count: int) -> list[Tensor]:
        given = batch(model, count, side)
        meta = {n: x.to("meta") for n, x in given.images.items()}
        out = encode(hollow, dataclasses.replace(given, images=meta), "fuse")
        return [out[0].pooled, *out[0].pyramid]

    return measure_footprint(run, hollow)


# Galileo, SkySense and Swin mask their attention or bias it: there the processor's own kernels keep
# the map of attention, which those of a GPU do not.
@pytest.mark.parametrize(("name", "least"), [("scale_mae", 0.97), ("caco", 0.99), ("rvsa", 0.97)])
def test_kept_bytes_are_those_of_a_real_pass(name: str, least: float) -> None:
    model = copy.deepcopy(load_model(name, "random", "tiny")).train()
    expected = predicted(model)
    for count in (1, 4):
        tally = Tally(model)
        with tally:
            out = model(batch(model, count))
        for found, recompute in ((tally.plain(), False), (tally.again(), True)):
            ratio = found / expected.kept(count, recompute)
            assert least <= ratio <= 1.001, (count, recompute, ratio)
        del out


def test_operations_are_those_of_a_real_pass() -> None:
    model = copy.deepcopy(load_model("scale_mae", "random", "tiny")).train()
    with FlopCounterMode(display=False) as counter:
        model(batch(model, 1))
    assert predicted(model).flops == pytest.approx(counter.get_total_flops(), rel=1e-6)


def test_state_is_what_the_optimiser_has() -> None:
    model = copy.deepcopy(load_model("skysense", "random", "tiny")).train()
    found = predicted(model, 256).learned  # the Sentinel branches are not reached by "hr"
    optimizer = torch.optim.AdamW(model.parameters())
    torch.autograd.backward(model(batch(model, 1, 256)).pyramid[-1].sum())
    optimizer.step()
    state = [x for s in optimizer.state.values() for x in s.values() if x.ndim]
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    real = sum(x.numel() * x.element_size() for x in (*state, *grads))
    assert found * forecast.LEARNED == pytest.approx(real, rel=0.01)


def test_lower_precision_is_as_by_autocast() -> None:
    with torch.device("meta"):
        hollow = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 64))
    found = measure_footprint(
        lambda n: [hollow(torch.empty(n, 8, 64, device="meta", requires_grad=True))], hollow, "bf16"
    )
    kept = (2, 4, 4, 2)  # bytes a number of what goes into linear, norm (in float32), GELU, linear
    assert found.each == 8 * 64 * sum(kept) + 2 * 8 * 4  # and the norm's mean and deviation
    assert found.fixed == 2 * 2 * 64 * 64 + 2 * 2 * 64  # the copies of the weights


def test_micro_batch_is_a_power_of_two_that_fits() -> None:
    body = Footprint(100, 100, 10, 50, 5, 20, 1e12)
    work = forecast.Work(body, Footprint(0, 0, 0, 0, 0, 0, 0))
    assert work.memory(2, False) == 1600 + 10 + 100
    assert work.memory(2, True) == 1600 + 5 + 40
    assert work.largest(24, 1600 + 10 + 50 * 20, False) == 16
    assert work.largest(12, 1e9, False) == 8
    assert work.largest(12, 1600, False) == 0
    assert work.hours(3600, 1, False) == pytest.approx(3 / forecast.UTILISATION)
    assert work.hours(3600, 1, True) == pytest.approx(4 / forecast.UTILISATION)


def test_skysense_at_896_pixels_is_forecast_in_seconds() -> None:
    planner, (cell,) = plan(
        models=["skysense"], tasks=["semantic_segmentation"], datasets=["isaid"], variant="full",
        overrides={"precision": "bf16"},
    )  # fmt: skip
    start = time.process_time()
    told = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell)
    assert time.process_time() - start < 20
    assert told["learned"] == 655_079_632
    assert told["note"] == "without the data: sides and 1 date(s) by the card"
    assert told["inputs"] == {"hr": [1, 896, 896]}
    assert told["recomputing"]["micro_batch"] > told["plain"]["micro_batch"] >= 1
    assert told["recomputing"]["bytes"] < 0.9 * 80 * gpus.GB
    small = forecast.Forecaster(planner, gpus.pick_gpu("v100-16"))
    assert small(cell)["plain"]["micro_batch"] == 0
    unknown = gpus.Gpu("T4", 15.0, float("nan"), float("nan"))
    assert json.loads(json.dumps(forecast.Forecaster(planner, unknown)(cell), allow_nan=False))
    assert forecast.forecast_columns(small(cell))["micro-batch"] in (
        "does not fit",
        "1 of 16, recomputing",
    )


def test_alike_networks_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(run: Any, network: nn.Module, precision: str) -> Footprint:
        calls.append(network)
        return measure_footprint(run, network, precision)

    monkeypatch.setattr("skybench.plan.forecast.measure_footprint", counted)
    planner, cells = plan(
        models=["caco"], tasks=["scene_classification"], datasets=["aid"], data="demo"
    )
    told = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))
    both = [told(cell) for cell in cells]
    assert len(cells) == 2
    assert sum(isinstance(m, Model) for m in calls) == 1
    assert len(calls) == 2  # the network and the head
    assert both[0]["steps"] != both[1]["steps"]


@pytest.mark.parametrize(
    ("model", "task", "dataset"),
    [
        ("croma", "multimodal_segmentation", "pastis_mm"),
        ("satmae", "horizontal_detection", "dior"),
        ("galileo", "multimodal_classification", "ben_mm"),
        ("caco", "change_detection", "levir_cd"),
    ],
)
def test_every_kind_of_head_and_series_is_followed(model: str, task: str, dataset: str) -> None:
    planner, (cell,) = plan(models=[model], tasks=[task], datasets=[dataset], data="demo")
    found = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell)
    assert "unknown" not in found, found
    assert found["gflops"] > 0
    assert found["plain"]["bytes"] > found["recomputing"]["bytes"] > found["state_bytes"]


def test_tf32_has_the_memory_and_the_peak_of_float32() -> None:
    told = []
    for precision in ("", "tf32", "bf16"):
        planner, (cell,) = plan(
            models=["caco"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
            overrides={"precision": precision},
        )  # fmt: skip
        found = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell)
        told.append((found["peak_tflops"], found["plain"]["bytes"]))
    assert told[0] == told[1]
    assert told[2][0] > told[0][0]


def test_what_cannot_be_followed_is_unknown_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no number here\nat all")

    monkeypatch.setattr("skybench.plan.forecast.measure_footprint", broken)
    planner, (cell, _) = plan(
        models=["caco"], tasks=["scene_classification"], datasets=["aid"], data="demo"
    )
    told = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell)
    assert told == {"gpu": "a100-80", "unknown": "RuntimeError: no number here"}
    assert forecast.forecast_columns(told)["micro-batch"] == "unknown: RuntimeError: no number here"


def test_without_the_data_a_side_must_be_known() -> None:
    asked = {"models": ["caco"], "tasks": ["scene_classification"]}
    planner, cells = plan(**asked, datasets=["fmow_s2"], overrides={"size": "0"})
    told = [forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell) for cell in cells]
    assert all("give --size" in t["unknown"] for t in told)
    planner, (cell,) = plan(**asked, datasets=["eurosat"], variant="tiny")
    found = forecast.Forecaster(planner, gpus.pick_gpu("a100-80"))(cell)
    assert found["inputs"] == {"s2": [1, 64, 64]}  # the published side of all its images


def shown(
    capsys: pytest.CaptureFixture[str], as_json: bool, gpu: str = "h100-80", **wanted: Any
) -> str:
    request = Request(
        models=["caco"], tasks=["scene_classification"], datasets=["aid"], data="demo", **wanted
    )
    output.show_plan(request, as_json, gpu)
    return capsys.readouterr().out


def test_the_plan_of_fine_tuning_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, as_json=False, protocol="finetune")
    assert "micro-batch" in text
    assert "8 of 8" in text
    assert "estimates for one h100-80 (80 GB, 10% held back) at 35% of its peak" in text
    rows: list[Mapping[str, Any]] = json.loads(shown(capsys, as_json=True, protocol="finetune"))
    assert all(row["forecast"]["plain"]["micro_batch"] == 8 for row in rows)


def test_other_plans_forecast_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "add_estimates", None)
    assert "micro-batch" not in shown(capsys, as_json=False, gpu="", protocol="knn")
    assert "forecast" not in shown(capsys, as_json=True, gpu="", protocol="knn")
    assert "hours on one h100-80" in shown(capsys, as_json=False, protocol="knn")
    rows = json.loads(shown(capsys, as_json=True, protocol="knn"))
    assert [row["forecast"]["images"] > 0 for row in rows] == [True, False]  # each image once
