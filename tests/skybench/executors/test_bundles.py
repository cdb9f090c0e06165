"""Bundles: planned cells as text, and what a worker does with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import SkybenchError
from skybench.executors import bundles as module
from skybench.executors.bundles import bundle_from_json, bundles, narrowed_request, run_bundle
from skybench.plan.planner import Planner
from skybench.plan.request import AUTO, Request

REQUEST = Request(
    models=["image_stats", "rcf"], tasks=["scene_classification"], datasets=["eurosat", "aid"],
    data="demo", protocol="knn", limit=12, device="cpu",
)  # fmt: skip


def test_bundles_are_the_planned_cells_by_model_and_dataset(tmp_path: Path) -> None:
    cells = Planner(replace(REQUEST, results=tmp_path)).cells()
    assert [c.dataset for c in cells] == ["eurosat", "aid", "aid"] * 2
    made = bundles(REQUEST, cells, lambda cell: len(cell.dataset))
    names = [c.fingerprint for c in cells]
    assert [b.fingerprints for b in made] == [
        (names[0],), (names[1], names[2]), (names[3],), (names[4], names[5]),
    ]  # fmt: skip
    assert [(b.model, b.dataset, b.seconds) for b in made[:2]] == [
        ("image_stats", "eurosat", 7), ("image_stats", "aid", 6),
    ]  # fmt: skip
    assert len({b.name for b in made}) == 4
    done = [replace(cells[0], status="done"), *cells[1:]]
    assert [b.dataset for b in bundles(REQUEST, done)] == ["aid", "eurosat", "aid"]
    twice = bundles(REQUEST, [cells[0], cells[0]])
    assert [b.fingerprints for b in twice] == [(names[0],)]
    assert made[1].only(names[1:2]).seconds == 3


def test_a_bundle_is_text_and_back(tmp_path: Path) -> None:
    request = replace(REQUEST, results=tmp_path, overrides={"epochs": "5"}, jobs=4, budget=9.0)
    for made in bundles(request, Planner(request).cells()):
        text = made.to_json()
        assert bundle_from_json(text) == made
        other = json.dumps({**json.loads(text), "skybench": "0.0.0"})
        with pytest.raises(SkybenchError, match=r"planned by skybench 0\.0\.0, and this is"):
            bundle_from_json(other)


def test_a_narrowed_request_plans_the_same_cells(tmp_path: Path) -> None:
    """Settings, recipes and weights that are for other models and data sets are left out."""
    request = replace(
        REQUEST, models=["rcf", "presto", "gfm"], protocol="frozen", results=tmp_path,
        recipes=["aid:rvsa"], arch={"kernels": "64"}, variant="tiny",
        weights={"": "random", "presto": "random"},
    )  # fmt: skip
    cells = [c for c in Planner(request).cells() if c.status == "planned"]
    assert {c.recipe.protocol for c in cells} == {"frozen", "finetune"}
    assert {c.model.name for c in cells if c.arch} == {"rcf"}
    for made in bundles(request, cells):
        again = {c.fingerprint for c in Planner(made.request).cells()}
        assert {*made.fingerprints} <= again
        assert len(made.request.tasks) == 1


def test_a_narrowed_request_has_absolute_paths_and_is_for_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    (tmp_path / "here").mkdir()
    first = Planner(REQUEST).cells()[0]
    asked = replace(
        REQUEST, results=Path("runs"), data="here", jobs=8, timeout=3.0, budget=4.0, shard="1/2",
        weights={"image-stats": "w.pt", "rcf": "random"},
    )  # fmt: skip
    narrow = narrowed_request(asked, [replace(first, dataset="folder:photos")])
    assert (narrow.results, narrow.data) == (tmp_path / "runs", str(tmp_path / "here"))
    assert narrow.weights == {"image_stats": str(tmp_path / "w.pt")}
    assert narrow.datasets == (f"folder:{tmp_path / 'photos'}",)
    assert (narrow.jobs, narrow.timeout, narrow.budget, narrow.shard) == (1, 0, 0, "")
    assert narrowed_request(REQUEST, [first]).data == "demo"


def test_a_bundle_runs_what_is_not_stored(tmp_path: Path) -> None:
    request = replace(REQUEST, models=["image_stats"], datasets=["aid"], results=tmp_path)
    (made,) = bundles(request, Planner(request).cells())
    heard: list[str] = []
    stages: list[str] = []

    def run(bundle: module.Bundle) -> list[str]:
        heard.clear()
        stages.clear()
        records = run_bundle(
            bundle,
            lambda name, stage, *_: stages.append(f"{name[:4]} {stage}"),
            lambda name, record: heard.append(f"{name} {record.status}"),
        )
        return [r.made for r in records]

    first, second = made.fingerprints
    run(made.only([first]))
    assert heard == [f"{first} measured"]
    assert stages[:2] == [f"{first[:4]} planning", f"{first[:4]} start"]
    assert f"{first[:4]} head" in stages
    when = run(made)
    assert heard == [f"{first} measured", f"{second} measured"]
    assert f"{first[:4]} head" not in stages
    assert run(made) == when
    with pytest.raises(SkybenchError, match="1 of 1 cells of image_stats on aid are not those"):
        run(made.only(["0" * 64]))
    other = replace(made, request=replace(made.request, limit=11))
    with pytest.raises(SkybenchError, match=r"2 of 2 cells .* have changed since"):
        run(other)


def test_a_measured_precision_does_not_hide_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another cell of the bundle may have measured it since the plan was made."""
    request = replace(REQUEST, precision=AUTO, results=tmp_path, models=["rcf"])
    chosen = {"planned": AUTO, "now": "fp16"}
    state = ["planned"]
    monkeypatch.setattr(
        "skybench.plan.planner.planned_precision",
        lambda cell, _: replace(cell, recipe=replace(cell.recipe, precision=chosen[state[0]])),
    )
    made = bundles(request, Planner(request).cells())
    state[0] = "now"
    for bundle in made:
        found = module._planned_cells(bundle, Planner(bundle.request))
        assert {found[name].recipe.precision for name in bundle.fingerprints} == {"fp16"}
