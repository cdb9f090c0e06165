"""The example of docs/adding-a-task.md: pixel regression by RMSE, a package of somebody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ._outside import install, skybench

PAGE = "adding-a-task.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("task")


@pytest.fixture(scope="module")
def installed(site: Path) -> dict[str, str]:
    return install(PAGE, site / "site")


def run(environment: dict[str, str], results: Path, *options: str) -> list[dict[str, Any]]:
    words = ("run", "--task", "my_biomass", "--data", "demo", "--results", str(results), "--json")
    records: list[dict[str, Any]] = json.loads(skybench(environment, *words, *options))
    assert [r["status"] for r in records] == ["measured"] * len(records), records
    return records


@pytest.mark.parametrize("protocol", ["linear", "frozen", "finetune"])
def test_every_protocol_gives_an_rmse(installed: dict[str, str], site: Path, protocol: str) -> None:
    results = site / "runs"
    (record,) = run(installed, results, "--model", "imagenet", "--protocol", protocol)
    name, value = next(iter(record["scores"].items()))
    assert name == "rmse"
    assert 0 < value < record["used"]["chance"]  # t/ha, of 0 to 300: it has learned something
    low, high = record["intervals"]["rmse"]
    assert low <= value <= high
    assert record["used"]["score_info"]["rmse"] == {
        "higher_is_better": False, "unit": "t/ha", "low": 0.0, "high": None,
    }  # fmt: skip


def test_the_table_names_the_unit_and_marks_the_lowest(
    installed: dict[str, str], site: Path
) -> None:
    results = site / "table"
    records = run(installed, results, "--model", "rcf,imagenet", "--protocol", "linear")
    best = min(records, key=lambda r: r["scores"]["rmse"])
    text = skybench(installed, "table", "--results", str(results), "--format", "md")
    assert "t/ha" in text
    (line,) = [x for x in text.splitlines() if x.startswith(f"| {best['model']} ")]
    assert "**" in line
    text = skybench(installed, "compare", "rcf", "imagenet", "--results", str(results))
    better = "better than" if best["model"] == "rcf" else "worse than"
    assert f"t/ha {better} imagenet" in " ".join(text.split())
