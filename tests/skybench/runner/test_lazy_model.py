"""A network whose features are kept is not loaded, and its record says what it said before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import Batch, Features, Record, folders
from skybench.core.loaded import LoadInfo
from skybench.core.model import Model
from skybench.plan.request import Request
from skybench.runner import lazy_model, network_costs, seed_run
from skybench.runner.run_cells import run_cells

from .._toys import CARD

BASE = Request(
    models=("galileo",),
    tasks=("scene_classification",),
    datasets=("eurosat",),
    data="demo",
    protocol="knn",
    limit=8,
    force=True,
)


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded, none of which is known before."""
    made: list[str] = []
    original = seed_run.load_cell_model

    def noted(cell: Any, setting: Any) -> Any:
        made.append(cell.model.name)
        return original(cell, setting)

    monkeypatch.setattr(seed_run, "load_cell_model", noted)
    monkeypatch.setattr(lazy_model, "_path", lambda cell: tmp_path / f"{cell.weights_id}.json")
    return made


def run(folder: Path, **changes: Any) -> Record:
    (record,) = run_cells(replace(BASE, results=folder, **changes))
    assert record.status == "measured", record.note
    return record


def plain(record: Record) -> dict[str, Any]:
    """What a record says, apart from times."""
    cost = {name: record.cost[name] for name in ("parameters", "parameters_in_all", "gflops")}
    return {"scores": record.scores, "used": record.used, "cost": cost, "flags": record.flags}


def test_a_known_network_with_kept_features_is_never_loaded(
    tmp_path: Path, loads: list[str]
) -> None:
    first = run(tmp_path)
    assert loads == ["galileo"]
    again = run(tmp_path)
    assert loads == ["galileo"]
    assert plain(again) == plain(first)


def test_a_known_network_is_loaded_once_where_features_are_missing(
    tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path)
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    monkeypatch.setattr(network_costs, "_KNOWN", {})
    again = run(tmp_path, overrides={"size": "48"})
    assert loads == ["galileo"] * 2
    assert again.cost["parameters_in_all"] == first.cost["parameters_in_all"] > 0
    assert again.used["features"]["sha256"] != first.used["features"]["sha256"]


def test_a_network_that_is_loaded_in_inference_mode_can_be_trained_later() -> None:
    facts = {"card": {}, "loaded": LoadInfo("random"), "parameters": 1, "levels": {}}

    class Small(Model):
        def __init__(self) -> None:
            super().__init__(CARD)
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, batch: Batch) -> Features:
            return Features(self.weight * 2, ())

    lazy = lazy_model.LazyModel(CARD, facts, Small)
    with torch.inference_mode():
        lazy(None)
    lazy.real()(None).pooled.backward()
    assert [p.grad.tolist() for p in lazy.parameters() if p.grad is not None] == [[2.0]]


@pytest.mark.parametrize("text", ["", "null", '{"facts": {}}', None])
def test_what_is_damaged_is_not_believed(
    text: str | None, tmp_path: Path, loads: list[str]
) -> None:
    first = run(tmp_path)
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text().replace("1", "2") if text is None else text)
    again = run(tmp_path)
    assert loads == ["galileo"] * 2
    assert plain(again) == plain(first)


def test_what_is_known_depends_on_the_weights() -> None:
    cell: Any = type("Cell", (), {})()
    cell.model = type("Card", (), {"name": "a", "version": 1})()
    cell.variant, cell.arch, cell.weights, cell.weights_id = "full", {}, "random", "random"
    one = lazy_model._path(cell)
    cell.weights_id = "0" * 64
    assert lazy_model._path(cell) != one
    assert one.is_relative_to(folders.cache())
