from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import DataError, SkybenchError, UsageError, registry
from skybench.plan.planner import Planner
from skybench.plan.request import Request, pick_datasets, pick_models, pick_tasks

DEMO = Request(models=["rcf"], tasks=["scene_classification"], datasets=["aid"], data="demo")


def fingerprints(request: Request) -> list[str]:
    return [c.fingerprint for c in Planner(request).cells()]


def test_both_training_ratios_of_aid_are_cells() -> None:
    cells = Planner(DEMO).cells()
    assert [c.recipe.label for c in cells] == ["20 %", "50 %"]
    assert [c.status for c in cells] == ["planned", "planned"]
    assert len({c.fingerprint for c in cells}) == 2


def test_a_plan_is_the_same_twice() -> None:
    assert fingerprints(DEMO) == fingerprints(DEMO)


@pytest.mark.parametrize(
    "change",
    [{"seeds": 2}, {"limit": 9}, {"fraction": 0.5}, {"overrides": {"size": "64"}},
     {"protocol": "knn"}, {"sensors": ["hr"]}],
)  # fmt: skip
def test_what_affects_the_number_makes_a_new_cell(change: dict[str, object]) -> None:
    assert not set(fingerprints(DEMO)) & set(fingerprints(replace(DEMO, **change)))  # type: ignore[arg-type]


def test_device_results_and_force_do_not_make_a_new_cell(tmp_path: Path) -> None:
    other = replace(DEMO, device="cpu", results=tmp_path, force=True)
    assert fingerprints(DEMO) == fingerprints(other)


def test_a_model_without_maps_cannot_segment_and_the_reason_is_given() -> None:
    request = replace(DEMO, models=["image_stats"], tasks=["semantic_segmentation"], datasets=[])
    cells = Planner(request).cells()
    assert {c.status for c in cells} == {"cannot run"}
    assert all("no feature maps" in c.reason for c in cells)


def test_a_task_without_the_protocol_cannot_run() -> None:
    request = replace(DEMO, tasks=["semantic_segmentation"], datasets=["isaid"], protocol="knn")
    (cell,) = Planner(request).cells()
    assert cell.status == "cannot run"
    assert "no protocol knn; it has linear, frozen" in cell.reason


def test_an_unknown_sensor_cannot_run() -> None:
    cells = Planner(replace(DEMO, sensors=["s1"])).cells()
    assert {c.status for c in cells} == {"cannot run"}
    assert "no sensor ['s1']; it has hr" in cells[0].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["rcff"]}, "No model 'rcff'. Did you mean 'rcf'"),
        ({"tasks": ["scene_clasification"]}, "Did you mean 'scene_classification'"),
        ({"datasets": ["aidd"]}, "No dataset 'aidd'. Did you mean 'aid'"),
        ({"protocol": "linaer"}, "No protocol 'linaer'"),
        ({"variant": "huge"}, "No variant 'huge'"),
        ({"fraction": 0.0}, r"--fraction in \(0, 1\]"),
        ({"seeds": 0}, "--seeds of at least 1"),
        ({"overrides": {"epoch": "3"}}, "No recipe field 'epoch'. Did you mean 'epochs'"),
        ({"models": []}, "--model and --task to name something"),
        ({"tasks": []}, "--model and --task to name something"),
        (
            {"models": ["image_stats"], "arch": {"gsd": "1"}},
            "No setting of these models 'gsd'. Known: weights",
        ),
        ({"draw": -3}, "--draw of at least 0"),
        ({"overrides": {"epochs": "three"}}, "Expected epochs to be a int, but got 'three'"),
        ({"overrides": {"seeds": "3"}}, "No recipe field 'seeds'"),
        ({"overrides": {"epochs": "-1"}}, "Expected epochs not to be negative, but got '-1'"),
        ({"weights": {"galielo": "a.pt"}}, "No model 'galielo'. Did you mean 'galileo'"),
        ({"datasets": ["isaid"]}, "None of the tasks asked for has a dataset 'isaid'"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Planner(replace(DEMO, **change)).cells()  # type: ignore[arg-type]


def test_missing_data_asked_for_by_name_end_the_run_with_how_to_get_them(tmp_path: Path) -> None:
    from skybench.runner.run_cells import run_cells

    request = replace(DEMO, data=str(tmp_path))
    cells = Planner(request).cells()
    assert {(c.status, c.lacks) for c in cells} == {("unavailable", "data")}
    with pytest.raises(SkybenchError) as caught:
        run_cells(request)
    assert str(tmp_path) in str(caught.value)
    assert registry.load("datasets", "aid").CARD.obtain in str(caught.value)


def test_missing_weights_end_the_run_with_how_to_get_them(tmp_path: Path) -> None:
    from skybench.data.demo_folder import demo_root
    from skybench.runner.run_cells import run_cells

    (tmp_path / "aid").symlink_to(demo_root("aid"))
    request = replace(DEMO, models=["rcf", "skysense"], data=str(tmp_path), results=tmp_path)
    with pytest.raises(
        SkybenchError, match="weights of skysense are not on this machine"
    ) as caught:
        run_cells(request)
    assert "--weights random" in str(caught.value)
    assert not list(tmp_path.glob("scene_classification/**/*.json"))


def test_names_all_and_paper_are_expanded() -> None:
    assert pick_models(["all"]) == registry.names("baselines")
    rows = {n: registry.load("baselines", n).CARD.group for n in pick_models(["paper"])}
    assert set(rows.values()) <= {"paper", "inferred"}
    assert "skysense" in rows
    assert pick_models(["rcf", "all"])[0] == "rcf"
    assert pick_tasks(["all"]) == registry.names("tasks")
    task = registry.load("tasks", "scene_classification").TASK
    assert "folder" not in pick_datasets([], task)
    assert pick_datasets(["folder:/x"], task) == ["folder:/x"]


def test_what_cannot_run_is_recorded_once_and_left_alone(tmp_path: Path) -> None:
    from skybench.runner.run_cells import run_cells

    request = replace(
        DEMO, models=["image_stats"], tasks=["semantic_segmentation"], datasets=["isaid"],
        results=tmp_path,
    )  # fmt: skip
    (first,) = run_cells(request)
    assert first.status == "cannot run"
    (path,) = tmp_path.rglob("*.json")
    before = path.stat().st_mtime_ns
    assert run_cells(request) == [first]
    assert path.stat().st_mtime_ns == before
    run_cells(replace(request, force=True))
    assert path.stat().st_mtime_ns > before


def test_a_folder_is_named_in_the_table_only_where_one_was_given(tmp_path: Path) -> None:
    request = replace(DEMO, datasets=["folder"])
    (plain,) = Planner(request).cells()
    assert plain.recipe.label == ""
    (given,) = Planner(replace(request, data="", datasets=[f"folder:{tmp_path}"])).cells()
    assert given.recipe.label == tmp_path.name


def test_demo_data_that_another_process_wrote_meanwhile_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skybench.data.demo_folder import demo_root

    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    plugin = registry.load("datasets", "eurosat")
    inner: list[Path] = []

    def write(folder: Path) -> None:
        (folder / "half").touch()
        if not inner:  # a second run starts while the first one writes
            inner.append(folder)
            inner.append(demo_root("eurosat"))
        assert (folder / "half").exists()

    monkeypatch.setattr(plugin, "write_demo", write)
    assert demo_root("eurosat") == inner[1]
    assert [p.name for p in inner[1].parent.iterdir()] == ["eurosat"]


def test_a_cache_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skybench.data.demo_folder import demo_root

    (tmp_path / "file").touch()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="SKYBENCH_CACHE"):
        demo_root("eurosat")


def test_every_folder_is_listed_at_most_once_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(models=["dofa"], tasks=["all"], data="demo", weights={"": "random"})
    Planner(request).cells()  # writes the demo data
    listed: Counter[str] = Counter()

    def counting(function: Any) -> Any:
        def call(path: Any = ".") -> Any:
            listed[os.fspath(path)] += 1
            return function(path)

        return call

    with monkeypatch.context() as patched:
        for name in ("scandir", "listdir"):
            patched.setattr(os, name, counting(getattr(os, name)))
        cells = Planner(request).cells()
    assert {cell.status for cell in cells} == {"planned"}
    assert len(listed) > 100
    assert {path: count for path, count in listed.items() if count > 1} == {}
