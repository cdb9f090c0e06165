"""Tasks of another package: a score for which lower is better, and a protocol of another name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.analysis import compare, ranks
from skybench.cli import app, catalogue
from skybench.core import Record, UsageError
from skybench.core.score import score_info_to_json
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.report import reproduce, tables
from skybench.runner.run_cells import run_cells
from tests.skybench._plugins import installed
from tests.skybench._toy_tasks import ERROR, PLUGINS, SCENES

MODELS = ["image_stats", "rcf"]  # a line on the mean feature, and the mean of the training fields
LINE = Request(MODELS, ["toy_yield"], protocol="line", data="demo")
TUNED = Request(["imagenet"], ["toy_scenes"], protocol="tuned", data="demo", device="cpu")


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch, own_cache: None) -> Iterator[None]:
    with installed(monkeypatch, **PLUGINS):
        yield


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["skybench", *words])
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_root_mean_square_error_is_a_main_score(records: list[Record], tmp_path: Path) -> None:
    assert {(r.status, r.traceback) for r in records} == {("measured", "")}
    good, poor = (
        next(r for r in records if r.model == m and r.recipe["label"] == "a") for m in MODELS
    )
    assert good.main is not None
    assert poor.main is not None
    assert good.main[0] == "rmse"
    assert good.main[1] < poor.main[1]
    assert good.used["score_info"]["rmse"] == score_info_to_json(ERROR)
    assert good.main[1] == float(f"{good.main[1]:.6g}")
    assert "chance" in poor.flags  # it answers the mean of other fields
    assert store.find_record(tmp_path, good.path) == good


@pytest.fixture
def records(tmp_path: Path, _plugins: None) -> list[Record]:
    return run_cells(replace(LINE, results=tmp_path))


def test_tables_mark_the_lowest_error_as_best(records: list[Record], tmp_path: Path) -> None:
    text = tables.render_tables(records, "text", tmp_path)
    assert "rmse [t/ha] ↓" in text
    assert "In percent" not in text
    assert r"rmse\\[t/ha]\\$\downarrow$" in tables.render_tables(records, "latex", tmp_path)
    (grid,) = tables.record_grids(records, tmp_path)
    assert {grid.rows[i][0] for i, _ in grid.best} == {"image_stats"}


def test_the_model_with_lower_errors_wins(records: list[Record], tmp_path: Path) -> None:
    found = compare.compare_models(records, tmp_path, ("image_stats", "rcf"), "", "")
    assert {c.verdict for c in found.cells} == {"win"}
    assert all(c.difference < 0 for c in found.cells)
    (summary,) = found.summary()
    assert "t/ha better than rcf" in summary
    ranking = ranks.rank_models(records, tmp_path, MODELS)
    assert [s.model for s in ranking.standings] == MODELS
    assert ranking.standings[0].gain is not None
    assert ranking.standings[0].gain > 0
    assert ranking.unit == "t/ha"


def test_commands_show_the_unit(
    records: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (
        ["table"],
        ["compare", *MODELS],
        ["rank", "--models", ",".join(MODELS)],
        ["rescore"],
    ):
        assert call(monkeypatch, *words, "--results", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "better than rcf on the mean of 2 common cell(s)" in shown
    assert "than the others, on the mean over the cells, in t/ha" in shown


def test_curves_have_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fraction in (0.5, 1.0):
        run_cells(replace(LINE, models=["image_stats"], fraction=fraction, results=tmp_path))
    words = ("curve", "--plot", str(tmp_path / "curve.png"), "--results", str(tmp_path))
    assert call(monkeypatch, *words) == 0
    assert (tmp_path / "curve.png").exists()


def test_a_protocol_of_another_name_that_trains_the_backbone_is_fine_tuning(tmp_path: Path) -> None:
    (record,) = run_cells(replace(TUNED, results=tmp_path, keep_weights=True, force=True))
    assert (record.status, record.note.partition(":")[0]) == (
        "measured",
        record.note.partition(":")[0],
    )
    folder = (tmp_path / record.path).with_suffix("")
    assert (folder / "seed0" / "log.jsonl").is_file()
    assert (folder / "seed0" / "weights.pt").is_file()
    assert (folder / "curve.png").is_file()
    assert reproduce.recipe_differences(record) == {}


def test_its_dry_run_forecasts_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "run", "--model", "imagenet,image_stats", "--task", "toy_scenes", "--protocol", "tuned",
        "--data", "demo", "--dry-run", "--gpu", "h100-80", "--json", "--results", str(tmp_path),
    )  # fmt: skip
    assert call(monkeypatch, *words) == 0
    learns, still = json.loads(capsys.readouterr().out)
    assert learns["forecast"]["gpu"] == "h100-80"
    assert "unknown" not in learns["forecast"]
    assert still["status"] == "cannot run"
    assert "no parameters to train" in still["reason"]


def test_its_recipes_are_listed_as_fine_tuning() -> None:
    (row,) = (r for r in catalogue.catalogue_rows("recipes") if r["task"] == "toy_scenes")
    assert row["name"] == "toy_places:tuned"
    assert catalogue.plugin_facts("toy_places:tuned")["head"].startswith("everything is trained")
    (row,) = (r for r in catalogue.catalogue_rows("protocols") if r["task"] == "toy_scenes")
    assert row["what"] == SCENES.protocol("tuned").text


def test_several_devices_train_it_and_refuse_a_frozen_protocol(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a protocol that trains the backbone"):
        run_cells(replace(LINE, devices=2, results=tmp_path))


def test_a_protocol_of_no_task_is_refused_with_those_of_the_task() -> None:
    with pytest.raises(UsageError, match=r"No protocol 'linear_probe'\. Known: tuned\."):
        Planner(replace(TUNED, protocol="linear_probe"))


def test_a_task_without_the_protocol_cannot_run_whatever_its_plugin_does() -> None:
    (cell,) = Planner(replace(TUNED, protocol="frozen")).cells()
    assert (cell.status, cell.recipe.protocol) == ("cannot run", "frozen")
    assert "toy_scenes has no protocol frozen; it has tuned" in cell.reason
