from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner import network_costs as costs
from skybench.runner import provenance, trained_weights

DEMO = Request(models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
               limit=6)  # fmt: skip


def test_costs_are_counted_once_for_each_network_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    def gflops(*_: Any) -> float:
        counted.append("gflops")
        return 1.5

    def parameters(*_: Any) -> int:
        counted.append("parameters")
        return 7

    monkeypatch.setattr(provenance, "gflops", gflops)
    monkeypatch.setattr(trained_weights, "parameters_used", parameters)
    (cell,) = Planner(DEMO).cells()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    extractor: Any = None
    for one in (cell, replace(cell, recipe=replace(cell.recipe, protocol="knn", seeds=3))):
        monkeypatch.setattr(costs, "_KNOWN", {})  # as in another process
        assert costs.network_costs(extractor, one) == {"gflops": 1.5, "parameters": 7}
    assert counted == ["gflops", "parameters"]
    larger = replace(cell, recipe=replace(cell.recipe, size=32))
    costs.network_costs(extractor, larger)
    assert counted == ["gflops", "parameters"] * 2
    for path in (tmp_path / "costs").iterdir():
        path.write_text('{"gflops": 1}')
    monkeypatch.setattr(costs, "_KNOWN", {})
    assert costs.network_costs(extractor, cell)["parameters"] == 7
