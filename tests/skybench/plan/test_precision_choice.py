from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import UsageError, folders
from skybench.plan import precision_choice
from skybench.plan.cell import Cell, to_record
from skybench.plan.planner import Planner
from skybench.plan.precision_choice import remember_choice
from skybench.plan.request import AUTO, Request, check_request

DEMO = Request(models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo")
TRIED = {"limit": 0.02, "float32": [0.0, 10.0], "fp16": [0.01, 30.0], "bf16": [None, 31.0]}


def planned(request: Request) -> Cell:
    (cell,) = Planner(request).cells()
    return cell


@pytest.fixture
def _gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(precision_choice, "gpu_name", lambda _: "H200")
    demo = folders.cache() / "demo"
    demo.mkdir(parents=True, exist_ok=True)
    (tmp_path / "demo").symlink_to(demo)
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))


def test_on_a_cpu_the_automatic_precision_is_float32() -> None:
    found = planned(replace(DEMO, precision=AUTO, device="cpu"))
    assert found.fingerprint == planned(DEMO).fingerprint
    assert found.describe()["precision"] == "float32"
    assert not found.overridden


@pytest.mark.usefixtures("_gpu")
def test_what_was_measured_on_a_gpu_is_planned_again_for_the_same_network_and_images() -> None:
    asked = replace(DEMO, precision=AUTO)
    new = planned(asked)
    assert new.describe()["precision"] == AUTO
    remember_choice(new, "H200", "fp16", TRIED)
    again = planned(asked)
    assert (again.recipe.precision, again.precision_tried) == ("fp16", TRIED)
    assert again.overridden == ("precision",)
    assert to_record(again).used["precision_tried"] == TRIED
    assert again.fingerprint == planned(replace(DEMO, precision="fp16")).fingerprint
    assert planned(replace(asked, protocol="knn")).recipe.precision == "fp16"
    changes: list[dict[str, Any]] = [{"models": ["imagenet"]}, {"overrides": {"size": "32"}}]
    for other in changes:
        assert planned(replace(asked, **other)).recipe.precision == AUTO
    assert planned(replace(asked, models=["imagenet"], protocol="finetune")).recipe.precision == ""


@pytest.mark.usefixtures("_gpu")
def test_a_damaged_memory_is_no_memory() -> None:
    asked = replace(DEMO, precision=AUTO)
    remember_choice(planned(asked), "H200", "fp16", TRIED)
    (path,) = (folders.cache() / "precision").iterdir()
    path.write_text("{")
    assert planned(asked).recipe.precision == AUTO


def test_a_precision_is_the_same_cell_however_it_was_asked_for() -> None:
    asked = planned(replace(DEMO, precision="bf16"))
    assert asked.fingerprint == planned(replace(DEMO, overrides={"precision": "bf16"})).fingerprint
    assert asked.fingerprint != planned(DEMO).fingerprint
    both: list[dict[str, Any]] = [
        {"precision": "float32"},
        {"overrides": {"precision": "float32"}},
    ]
    for same in both:
        assert planned(replace(DEMO, **same)).fingerprint == planned(DEMO).fingerprint
    with pytest.raises(UsageError, match="No precision 'int4'"):
        check_request(replace(DEMO, precision="int4"))
    with pytest.raises(UsageError, match="got both"):
        check_request(replace(DEMO, precision="bf16", overrides={"precision": "bf16"}))
