"""Options of the command line and the cells that they give."""

from __future__ import annotations

from typing import Any


def test_options_are_checked_and_marked(skybench: Any) -> None:
    words = ["run", "--model", "rcf", "--task", "all", "--dataset", "fmow_s2", "--data", "demo"]
    words += ["--protocol", "knn", "--json", "--option"]
    (record,) = skybench(*words, "dropped=satmae").json
    assert record["used"]["overridden"] == ["dropped"]
    assert record["recipe"]["options"] == ["dropped=satmae"]
    assert "override" in record["flags"]
    assert "coastal" not in record["used"]["inputs"]["s2"]["bands"]
    for wrong in ("dropped=none of them", "droped=none", "dropped"):
        assert skybench(*words, wrong).code == 2


def test_all_tasks_of_the_paper_are_planned(skybench: Any) -> None:
    words = ["run", "--model", "skysense", "--task", "all", "--data", "demo", "--dry-run"]
    cells = skybench(*words, "--json").json
    pairs = {(c["task"], c["dataset"]) for c in cells if c["status"] == "planned"}
    assert {task for task, _ in pairs} >= {
        "change_detection", "multimodal_classification", "multimodal_segmentation",
        "scene_classification", "semantic_segmentation",
    }  # fmt: skip
    assert len({dataset for _, dataset in pairs}) >= 14
