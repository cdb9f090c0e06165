from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import Record, UsageError, registry
from skybench.report import reproduce

RECORD = Record(
    "gfm", "scene_classification", "aid", {"protocol": "linear", "label": "20 %"}, "measured",
    "real", "ab" * 32, {"oa": 90.0}, used={"sensors": ["hr"], "variant": "full"},
)  # fmt: skip


def test_a_record_is_picked_by_the_first_digits() -> None:
    assert reproduce.pick_record([RECORD], "AB") is RECORD
    with pytest.raises(UsageError, match="several fingerprints"):
        reproduce.pick_record([RECORD, replace(RECORD, model="rcf")], "ab")


def test_of_copies_of_a_record_the_newest_is_picked() -> None:
    newer = replace(RECORD, made="2026-02-01T00:00:00+00:00")
    older = replace(RECORD, made="2026-01-01T00:00:00+00:00")
    assert reproduce.pick_record([newer, older], "ab") is newer


def test_a_recipe_is_compared_with_that_of_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reproduce.recipe_differences(RECORD)["protocol"].startswith("linear, ")
    task = registry.task("scene_classification")
    frozen = {"linear": task.protocol("linear")}
    monkeypatch.setattr(registry, "task", lambda name: replace(task, protocols=frozen))
    expected = {"protocol": "linear, the paper's is fine-tuning"}
    assert reproduce.recipe_differences(RECORD) == expected


def test_the_command_names_ones_own_folder_where_the_record_does() -> None:
    own = replace(RECORD, dataset="folder")
    assert "--dataset folder:PATH " in reproduce.run_command(own)
    named = replace(own, used={**own.used, "folder": "/data/my city/skybench.toml"})
    assert "--dataset 'folder:/data/my city/skybench.toml' " in reproduce.run_command(named)
    demo = replace(own, data="demo")
    assert "--dataset folder " in reproduce.run_command(demo)
    assert "--data demo" in reproduce.run_command(demo)
    simulated = replace(named, data="demo")  # a demo folder that was named by its path
    assert "--data demo" not in reproduce.run_command(simulated)
