"""What skybench lists and shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_list_gives_the_promised_fields(skybench: Any) -> None:
    models = skybench("list", "models", "--json").json
    for row in models:
        assert {"name", "title", "row", "sensors", "weights", "licence"} <= set(row)
        assert row["row"] in ("paper", "inferred", "floor", "extra")
    names = {m["name"] for m in models}
    assert {"skysense", "image_stats", "rcf", "imagenet", "galileo"} <= names
    for kind in ("datasets", "tasks", "protocols"):
        assert all("name" in row for row in skybench("list", kind, "--json").json)
    datasets = {d["name"] for d in skybench("list", "datasets", "--json").json}
    assert {"aid", "resisc45", "isaid", "potsdam", "eurosat", "folder"} <= datasets
    assert skybench("list", "models").code == 0


def test_every_name_can_be_shown(skybench: Any) -> None:
    for name in ("skysense", "potsdam", "scene_classification"):
        shown = skybench("show", name)
        assert shown.code == 0
        assert name in shown.out
    assert skybench("show", "skysense", "--json").json["row"] == "paper"
    wrong = skybench("show", "skysens")
    assert wrong.code == 2
    assert "Did you mean 'skysense'" in wrong.err
    assert skybench("list", "modules").code == 2


def test_doctor_says_what_is_in_force_and_why(skybench: Any, tmp_path: Path) -> None:
    facts = skybench("doctor", "--json").json
    assert facts["SKYBENCH_RESULTS"] == f"{tmp_path / 'runs'} (environment, absent)"
    assert {"torch", "device", "cores", "free disk"} <= set(facts)
