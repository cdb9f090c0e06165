"""Mistakes of released evaluation suites, as behaviours that must not be here: in whole runs.

Found by running or reading PANGAEA, torchgeo-bench, GEO-Bench, OlmoEarth's and Galileo's
evaluations and timm's bulk runner.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from skybench.cli import app, output
from skybench.core import Batch, Features, FitContext, Recipe, Record, fingerprint, folders
from skybench.core.recipe import TOLD
from skybench.data.demo_folder import demo_root
from skybench.plan import cell as cells
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import predictions, store
from skybench.runner import cell_run, run_cells
from skybench.training import fit, lr_schedules
from skybench.training.step import Stepper, TrainingJob
from skybench.weights.load import load_model

QUICK = Request(
    models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn",
)  # fmt: skip


@pytest.mark.parametrize("protocol", ["knn", "linear", "frozen"])
def test_b4_every_protocol_learns_from_a_part(protocol: str, tmp_path: Path) -> None:
    """PANGAEA: UnboundLocalError for linear classification and kNN on a part of the labels."""
    part = replace(QUICK, protocol=protocol, fraction=0.5, results=tmp_path)
    (record,) = run_cells.run_cells(part)
    assert record.status == "measured"
    assert record.samples["train"] == 63  # of 126
    assert "limited" in record.flags


def test_b5_every_option_arrives_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """PANGAEA: `use_wandb` was passed in the place of `inference_mode`."""
    spy = Mock(return_value=0)
    monkeypatch.setattr(output, "run_request", spy)
    words = {
        "model": "rcf", "task": "change_detection", "dataset": "oscd", "protocol": "linear",
        "data": "/d", "weights": "rcf=/w", "variant": "tiny", "sensors": "s2", "fraction": "0.25",
        "seeds": "3", "limit": "7", "size": "96", "device": "cpu", "results": "/r", "draw": "5",
        "devices": "2", "nodes": "4", "micro-batch": "6", "arch": "gsd=8",
    }  # fmt: skip
    flags = ["--force", "--strict", "--no-predictions"]
    given = [w for n, v in words.items() for w in (f"--{n}", v)]
    monkeypatch.setattr(
        "sys.argv", ["skybench", "run", *given, *flags, "--option", "dates=x", "--set", "lr=0.5"]
    )
    with pytest.raises(SystemExit):
        app.main()
    expected = Request(
        models=["rcf"], tasks=["change_detection"], datasets=["oscd"], protocol="linear",
        data="/d", weights={"rcf": "/w"}, variant="tiny", sensors=["s2"], options={"dates": "x"},
        fraction=0.25, seeds=3, limit=7, overrides={"lr": "0.5", "size": "96"}, device="cpu",
        results=Path("/r"), force=True, draw=5, predictions=False, strict=True, devices=2, nodes=4,
        micro=6, arch={"gsd": "8"},
    )  # fmt: skip
    spy.assert_called_once_with(expected, False, False)  # nor stop at failures, nor JSON


FLAGS = ("force", "strict", "recompute", "keep_weights", "tensorboard")
OTHERS = ("fail_fast", "json")  # passed on beside the request, in this order


@pytest.mark.parametrize("flag", [*FLAGS, *OTHERS])
def test_b5_a_flag_sets_what_it_is_called_and_nothing_else(
    flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Mock(return_value=0)
    monkeypatch.setattr(output, "run_request", spy)
    monkeypatch.setattr(
        "sys.argv", ["skybench", "run", "--model", "rcf", f"--{flag.replace('_', '-')}"]
    )
    with pytest.raises(SystemExit):
        app.main()
    request, *others = spy.call_args.args
    assert {name: getattr(request, name) for name in FLAGS} == {n: n == flag for n in FLAGS}
    assert others == [flag == name for name in OTHERS]


def test_b7_half_precision_computes_the_same_but_for_rounding() -> None:
    """PANGAEA: the device's name became the scale of the loss; mixed precision could not run."""
    image = torch.rand((2, 1, 3, 128, 128), generator=torch.Generator().manual_seed(0)) * 255
    seen, days = {"hr": torch.ones(2, 1, dtype=torch.bool)}, {"hr": torch.zeros(2, 1).long()}
    batch = Batch(("a", "b"), {"hr": image}, seen, days, torch.zeros(2, 2))
    with torch.inference_mode():
        whole, half = (
            load_model("imagenet", dtype=dtype)(batch).pooled for dtype in ("float32", "bfloat16")
        )
    assert half.dtype == torch.float32
    assert 0 < float((half - whole).norm() / whole.norm()) < 0.05


def test_b7_the_scale_of_the_loss_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    names = inspect.signature(torch.amp.GradScaler)
    spy = Mock()
    monkeypatch.setattr(torch.amp, "GradScaler", spy)
    job = TrainingJob(Mock(), lr_schedules.Schedule(lr_schedules.linear_decay))
    for precision, scaled in (("fp16", True), ("bf16", False), ("", False)):
        recipe = Recipe("linear", batch=4, lr=0.01, precision=precision)
        Stepper(nn.Linear(3, 1), recipe, FitContext(0, "cuda"), job)
        given = names.bind(*spy.call_args.args, **spy.call_args.kwargs).arguments
        assert given == {"device": "cuda", "enabled": scaled}


def test_b8_every_test_image_is_in_the_score(tmp_path: Path) -> None:
    """PANGAEA: each process of several scored its own shard, and one of them was printed."""
    cell = Planner(replace(QUICK, results=tmp_path)).cells()[0]
    (record,) = run_cells.run_cells(replace(QUICK, results=tmp_path))
    kept = predictions.load_predictions(record, tmp_path)
    assert record.samples["test"] == len(cell.splits["test"]) == len(kept.keys) == 42
    assert kept.keys == cell.splits["test"].keys
    assert kept.metrics[0].scores()["oa"] == pytest.approx(record.scores["oa"], abs=1e-4)


def test_b9_a_run_that_goes_on_never_replaces_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PANGAEA: the best score is not restored; a resumed run may overwrite the best weights."""
    mine = replace(QUICK, results=tmp_path)
    first = run_cells.run_cells(mine)
    (path,) = tmp_path.rglob("*.json")
    before = path.read_bytes()
    cls = type(load_model("rcf", variant="tiny"))
    monkeypatch.setattr(cls, "forward", lambda self, batch: Features(torch.zeros(1, 1), ()))
    assert run_cells.run_cells(mine) == first
    assert path.read_bytes() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        first[0].scores = {}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["DATA", "RESULTS", "CACHE", "WEIGHTS"])
def test_b10_the_users_folders_are_the_ones_in_use(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GEO-Bench: its downloader ignores GEO_BENCH_DIR."""
    monkeypatch.setenv(f"SKYBENCH_{name}", str(tmp_path / "mine"))
    assert getattr(folders, name.lower())() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    if name == "DATA":
        assert Planner(replace(QUICK, data="")).root("aid") == tmp_path / "mine" / "aid"
    elif name == "CACHE":
        assert demo_root("eurosat").is_relative_to(tmp_path / "mine")
    elif name == "RESULTS":
        run_cells.run_cells(QUICK)
        assert list((tmp_path / "mine").rglob("rcf.knn.*.json"))
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("validate", [0, 1])
def test_b11_one_optimizer_goes_through_all_epochs(
    validate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OlmoEarth: a new AdamW at every evaluation, so its moments began anew."""
    made: list[torch.optim.AdamW] = []

    class Counting(torch.optim.AdamW):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    monkeypatch.setattr(torch.optim, "AdamW", Counting)
    layer, data = nn.Linear(3, 1), torch.randn(8, 3)
    recipe = Recipe("linear", epochs=5, batch=4, lr=0.01, validate=validate)

    def loss_of(indices: list[int], _: Any) -> Tensor:
        loss: Tensor = layer(data[indices]).pow(2).mean()
        return loss

    scores = itertools.count(1.0)  # the last is the best
    score = functools.partial(next, scores) if validate else None
    job = TrainingJob(loss_of, lr_schedules.Schedule(lr_schedules.linear_decay), score)
    trained = fit.train(layer, 8, recipe, FitContext(0), job)
    (optimizer,) = made
    steps = {int(state["step"]) for state in optimizer.state.values()}
    assert steps == {trained.steps} == {10}
    assert optimizer.param_groups[0]["params"][0] is layer.weight  # the last weights are tested


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Recipe)])
def test_b13_whatever_changes_a_recipe_makes_another_cell(name: str) -> None:
    """torchgeo-bench: its key for resuming lacks the seed, so `seed=1` is skipped as done."""
    (cell,) = Planner(QUICK).cells()
    value: Any = getattr(cell.recipe, name)
    kinds: dict[type, Any] = {str: "x", tuple: ("x",)}
    more = kinds.get(type(value), 1)
    changed = replace(cell, recipe=replace(cell.recipe, **{name: value + more}))
    same = fingerprint.fingerprint(cells.affecting(changed)) == cell.fingerprint
    assert same == (name in TOLD)  # words for a reader


def test_b15_a_crash_loses_only_the_cell_that_was_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm's bulk runner: its table is written after the last model only."""
    both = replace(QUICK, models=["image_stats", "rcf"], results=tmp_path)
    run_cell = cell_run.run_cell

    def crashing(cell: cells.Cell, *given: Any) -> Record:
        if cell.model.name == "rcf":
            raise KeyboardInterrupt
        return run_cell(cell, *given)

    monkeypatch.setattr(cell_run, "run_cell", crashing)
    with pytest.raises(KeyboardInterrupt):
        run_cells.run_cells(both)
    found, skipped = store.read_records(tmp_path)
    assert [r.model for r in found] == ["image_stats"]
    assert found[0].scores
    assert skipped == []
