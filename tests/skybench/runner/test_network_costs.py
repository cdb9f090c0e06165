"""What a network costs: operations, and the parameters of the branches that ran."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import flop_counter

from skybench.core import BandMapping, Batch, Features, ModelCard, Sample, Sensor
from skybench.core.model import Model
from skybench.core.sensors import CONVERT, UINT8
from skybench.data.batching import collate
from skybench.features.extractor import Extractor
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner import network_costs as costs

DEMO = Request(models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
               limit=6)  # fmt: skip
HR, S2 = (Sensor(name, ("red",), 1.0, UINT8) for name in ("hr", "s2"))
FOUND = {"hr": BandMapping("hr", (0,), CONVERT[UINT8, UINT8])}
GFLOPS = (2 * 9 * 3 * 64 + 2 * 3 * 3) / 1e9  # of the convolution and the linear layer
USED = 3 * 9 + 3 + 3 * 3 + 3 + 1


class Branches(Model):
    """Two branches, of which one is for the sensor "s2" alone, and a frozen table."""

    def __init__(self, in_place: bool = False) -> None:
        super().__init__(ModelCard("toy", "", "extra", (HR, S2), 3, (), "", "", ""))
        self.conv, self.hr = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(3, 3)
        self.s2 = nn.Linear(1, 100)
        self.table = nn.Parameter(torch.ones(7, 1, 1, 1)[:1].clone(), requires_grad=False)
        self.in_place, self.passes = in_place, 0

    def forward(self, batch: Batch) -> Features:
        self.passes += 1
        x = self.conv(batch.images["hr"][:, 0] * self.table).mean((2, 3))
        if self.in_place:
            self.hr.weight.mul_(1)
        return Features(self.hr(x), ())


def counted(model: Model) -> dict[str, float]:
    sample = Sample("a", {"hr": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}, 0)
    return costs.count_costs(Extractor(model, FOUND, "fuse", 0, "cpu"), collate([sample]))


def test_operations_and_the_branches_that_ran_are_counted_in_one_pass() -> None:
    model = Branches()
    assert counted(model) == {"gflops": pytest.approx(GFLOPS), "parameters": USED}
    assert model.passes == 1
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["table"]
    assert all(p.grad is None for p in model.parameters())


def test_of_a_network_that_computes_in_place_all_parameters_count() -> None:
    model = Branches(in_place=True)
    total = sum(p.numel() for p in model.parameters())
    assert counted(model) == {"gflops": pytest.approx(GFLOPS), "parameters": total}
    assert total == USED + 200


def test_where_the_counter_fails_the_layers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise NotImplementedError("an operation without a shape")

    monkeypatch.setattr(flop_counter, "FlopCounterMode", broken)
    model = Branches()
    assert counted(model) == {"gflops": pytest.approx(GFLOPS), "parameters": USED}
    assert not model.conv._forward_hooks


def test_costs_are_counted_once_for_each_network_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Batch] = []

    def count(_: Any, image: Batch) -> dict[str, float]:
        counted.append(image)
        return {"gflops": 1.5, "parameters": 7}

    monkeypatch.setattr(costs, "count_costs", count)
    (cell,) = Planner(DEMO).cells()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    extractor = Extractor(Branches(), cell.found, "fuse", 0, "cpu")
    for one in (cell, replace(cell, recipe=replace(cell.recipe, protocol="knn", seeds=3))):
        monkeypatch.setattr(costs, "_KNOWN", {})  # as in another process
        assert costs.network_costs(extractor, one) == {"gflops": 1.5, "parameters": 7}
    assert [batch.keys for batch in counted] == [(cell.splits["test"].keys[0],)]
    larger = replace(cell, recipe=replace(cell.recipe, size=32))
    costs.network_costs(extractor, larger)
    assert len(counted) == 2
    for path in (tmp_path / "costs").iterdir():
        path.write_text('{"gflops": 1}')
    monkeypatch.setattr(costs, "_KNOWN", {})
    assert costs.network_costs(extractor, cell)["parameters"] == 7
