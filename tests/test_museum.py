"""Mistakes of released evaluation suites, as behaviours that must not be here; B1 to B15.

Found by running or reading PANGAEA, torchgeo-bench, GEO-Bench, OlmoEarth's and Galileo's
evaluations and timm's bulk runner.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skybench import (
    cells,
    cli,
    console,
    fit,
    metrics,
    places,
    predictions,
    records,
    runner,
    schedules,
)
from skybench.core import Batch, Features, Recipe, Setting
from skybench.heads import knn
from skybench.metrics.segmentation import Segmentation
from skybench.plan import Planner, demo_root
from skybench.request import Request
from skybench.sampling import stratified
from skybench.stepping import Job
from skybench.weights import load_model

QUICK = Request(
    models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn",
)  # fmt: skip


class Memory:
    """Pooled features with classes; see core.Source."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.known = features, labels

    def __len__(self) -> int:
        return len(self.features)

    def pooled(self) -> Tensor:
        return self.features

    def labels(self) -> Tensor:
        return self.known

    def pyramid(self, _: Any) -> Any: ...
    def target(self, _: Any) -> Any: ...


def pairs_of_labels(count: int, seed: int) -> Memory:
    """Images with two of six classes each; the features say which."""
    made = torch.Generator().manual_seed(seed)
    first = torch.arange(count) % 6
    labels = torch.nn.functional.one_hot(first, 6) + torch.nn.functional.one_hot((first + 1) % 6, 6)
    return Memory(labels + 0.05 * torch.randn((count, 6), generator=made), labels)


def fitted() -> tuple[knn.Neighbours, Memory]:
    """A head that learned from such images, and others to test it on."""
    train, val, test = (pairs_of_labels(60, seed) for seed in range(3))
    head = knn.Neighbours(6, refit=False)
    head.fit(train, val, Setting(0))
    return head, test


def test_b1_precision_and_recall_are_not_exchanged() -> None:
    """PANGAEA: its matrix is [predicted, true], its precision divides by the sums for that."""
    true, predicted = np.array([[0, 1, 1, 1, 2]]), np.array([[0, 0, 1, 1, 2]])
    metric = Segmentation(("a", "b", "c"), "miou")
    metric.update(predicted, true)
    found = metric.per_class()
    assert [found[c]["precision"] for c in "abc"] == [50, 100, 100]
    assert [found[c]["recall"] for c in "abc"] == pytest.approx([100, 200 / 3, 100])
    change = metrics.change_f1([[1, 1, 1, 0]], [[1, 0, 0, 0]])
    assert change["precision"] == pytest.approx(100 / 3)
    assert change["recall"] == 100


def test_b2_a_class_that_the_split_lacks_takes_nothing_from_a_perfect_score() -> None:
    """PANGAEA: 66.7 for a perfect prediction with one of three classes absent."""
    true = np.array([[0, 0, 1, 1]])
    scores = metrics.mean_iou(true, true, classes=3)
    assert (scores["miou"], scores["mf1"]) == (100, 100)
    assert scores["miou_all"] == pytest.approx(200 / 3)  # that policy goes by its own name


@pytest.mark.parametrize(
    "kind", [list, np.array, torch.tensor, lambda x: [torch.tensor(i) for i in x]]
)
def test_b3_a_tenth_of_a_set_is_a_tenth_of_every_class(kind: Any) -> None:
    """PANGAEA: tensors as keys of a dict, so that all 100 samples came back."""
    labels = [i % 5 for i in range(100)]
    chosen = stratified(kind(labels), 100, 10, seed=0)
    assert len(chosen) == 10
    assert sorted(labels[i] for i in chosen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("protocol", ["knn", "linear", "frozen"])
def test_b4_every_protocol_learns_from_a_part(protocol: str, tmp_path: Path) -> None:
    """PANGAEA: UnboundLocalError for linear classification and kNN on a part of the labels."""
    part = replace(QUICK, protocol=protocol, fraction=0.5, results=tmp_path)
    (record,) = runner.run_cells(part)
    assert record.status == "measured"
    assert record.samples["train"] == 63  # of 126
    assert "limited" in record.flags


def test_b5_every_option_arrives_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """PANGAEA: `use_wandb` was passed in the place of `inference_mode`."""
    spy = Mock(return_value=0)
    monkeypatch.setattr(console, "run", spy)
    words = {
        "model": "rcf", "task": "change_detection", "dataset": "oscd", "protocol": "linear",
        "data": "/d", "weights": "rcf=/w", "variant": "tiny", "sensors": "s2", "fraction": "0.25",
        "seeds": "3", "limit": "7", "size": "96", "device": "cpu", "results": "/r", "draw": "5",
    }  # fmt: skip
    flags = ["--force", "--strict", "--no-predictions"]
    given = [w for n, v in words.items() for w in (f"--{n}", v)]
    monkeypatch.setattr(
        "sys.argv", ["skybench", "run", *given, *flags, "--option", "dates=x", "--set", "lr=0.5"]
    )
    with pytest.raises(SystemExit):
        cli.main()
    expected = Request(
        models=["rcf"], tasks=["change_detection"], datasets=["oscd"], protocol="linear",
        data="/d", weights={"rcf": "/w"}, variant="tiny", sensors=["s2"], options={"dates": "x"},
        fraction=0.25, seeds=3, limit=7, overrides={"lr": "0.5", "size": "96"}, device="cpu",
        results=Path("/r"), force=True, draw=5, predictions=False, strict=True,
    )  # fmt: skip
    spy.assert_called_once_with(expected, False, False)  # nor stop at failures, nor JSON


def test_b6_neighbours_reach_100_with_two_labels_an_image() -> None:
    """PANGAEA: always the 10 highest classes, so F1 was 0.333 at most; and averaged by batch."""
    head, test = fitted()
    said = np.stack(list(head.predict(test)))
    true = test.labels().numpy()
    assert metrics.mean_average_precision(said, true)["map_micro"] == 100
    assert ((said > 0.5) == true).all()  # as many classes as the neighbours have


def test_b6_a_score_is_one_count_and_no_mean_over_batches() -> None:
    rng = np.random.default_rng(0)
    said, true = rng.random((40, 5)), rng.integers(0, 2, (40, 5))
    whole = metrics.mean_average_precision(said, true)["map_micro"]
    order = rng.permutation(40)
    assert metrics.mean_average_precision(said[order], true[order])["map_micro"] == whole
    parts = [
        metrics.mean_average_precision(said[i : i + 8], true[i : i + 8])["map_micro"]
        for i in range(0, 40, 8)
    ]
    assert np.mean(parts) != pytest.approx(whole, abs=0.1)


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


def test_b8_every_test_image_is_in_the_score(tmp_path: Path) -> None:
    """PANGAEA: each process of several scored its own shard, and one of them was printed."""
    cell = Planner(replace(QUICK, results=tmp_path)).cells()[0]
    (record,) = runner.run_cells(replace(QUICK, results=tmp_path))
    kept = predictions.load(record, tmp_path)
    assert record.samples["test"] == len(cell.splits["test"]) == len(kept.keys) == 42
    assert kept.keys == cell.splits["test"].keys
    assert kept.metrics[0].scores()["oa"] == pytest.approx(record.scores["oa"], abs=1e-4)


def test_b9_a_run_that_goes_on_never_replaces_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PANGAEA: the best score is not restored; a resumed run may overwrite the best weights."""
    mine = replace(QUICK, results=tmp_path)
    first = runner.run_cells(mine)
    (path,) = tmp_path.rglob("*.json")
    before = path.read_bytes()
    cls = type(load_model("rcf", variant="tiny"))
    monkeypatch.setattr(cls, "forward", lambda self, batch: Features(torch.zeros(1, 1), ()))
    assert runner.run_cells(mine) == first
    assert path.read_bytes() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        first[0].scores = {}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["DATA", "RESULTS", "CACHE", "WEIGHTS"])
def test_b10_the_users_folders_are_the_ones_in_use(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GEO-Bench: its downloader ignores GEO_BENCH_DIR."""
    monkeypatch.setenv(f"SKYBENCH_{name}", str(tmp_path / "mine"))
    assert getattr(places, name.lower())() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    if name == "DATA":
        assert Planner(replace(QUICK, data="")).root("aid") == tmp_path / "mine" / "aid"
    elif name == "CACHE":
        assert demo_root("eurosat").is_relative_to(tmp_path / "mine")
    elif name == "RESULTS":
        runner.run_cells(QUICK)
        assert list((tmp_path / "mine").rglob("rcf.knn.*.json"))
        assert not (tmp_path / "runs").exists()


def test_b11_one_optimizer_goes_through_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """OlmoEarth: a new AdamW at every evaluation, so its moments began anew."""
    made: list[torch.optim.AdamW] = []

    class Counting(torch.optim.AdamW):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    monkeypatch.setattr(torch.optim, "AdamW", Counting)
    layer, data = nn.Linear(3, 1), torch.randn(8, 3)
    recipe = Recipe("linear", epochs=5, batch=4, lr=0.01)

    def loss_of(indices: list[int], _: Any) -> Tensor:
        loss: Tensor = layer(data[indices]).pow(2).mean()
        return loss

    job = Job(loss_of, schedules.Schedule(schedules.rate))
    trained = fit.train(layer, 8, recipe, Setting(0), job)
    (optimizer,) = made
    steps = {int(state["step"]) for state in optimizer.state.values()}
    assert steps == {trained.steps} == {10}
    assert optimizer.param_groups[0]["params"][0] is layer.weight  # the last weights are tested


def test_b12_distances_are_computed_once_whatever_the_number_of_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OlmoEarth and Galileo: the whole matrix of distances again for every class."""
    head, test = fitted()
    spy = Mock(wraps=knn.neighbours)
    monkeypatch.setattr(knn, "neighbours", spy)
    list(head.predict(test))
    spy.assert_called_once()


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Recipe)])
def test_b13_whatever_changes_a_recipe_makes_another_cell(name: str) -> None:
    """torchgeo-bench: its key for resuming lacks the seed, so `seed=1` is skipped as done."""
    (cell,) = Planner(QUICK).cells()
    value: Any = getattr(cell.recipe, name)
    kinds: dict[type, Any] = {str: "x", tuple: ("x",)}
    more = kinds.get(type(value), 1)
    changed = replace(cell, recipe=replace(cell.recipe, **{name: value + more}))
    same = records.fingerprint(cells.affecting(changed)) == cell.fingerprint
    assert same == (name in ("label", "source"))  # words for a reader


def test_b14_the_device_does_not_change_the_measure_of_distance() -> None:
    """torchgeo-bench: `metric=` is ignored on the CPU."""
    train, val, test = (pairs_of_labels(60, seed) for seed in range(3))
    made = torch.Generator().manual_seed(9)
    lengths = [torch.rand((60, 1), generator=made) * 9 + 0.1 for _ in range(3)]
    scaled = [
        Memory(m.features * x, m.known) for m, x in zip((train, val, test), lengths, strict=True)
    ]
    found = []
    for parts, device in (((train, val, test), "cpu"), (scaled, "cpu"), (scaled, "cuda")):
        head = knn.Neighbours(6, refit=False)
        head.fit(parts[0], parts[1], Setting(0, device))
        found.append(np.stack(list(head.predict(parts[2]))))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)  # cosine: lengths do not matter
    np.testing.assert_array_equal(found[2], found[1])


def test_b15_a_crash_loses_only_the_cell_that_was_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm's bulk runner: its table is written after the last model only."""
    both = replace(QUICK, models=["image_stats", "rcf"], results=tmp_path)
    run_cell = runner.run_cell

    def crashing(cell: cells.Cell, *given: Any) -> records.Record:
        if cell.model.name == "rcf":
            raise KeyboardInterrupt
        return run_cell(cell, *given)

    monkeypatch.setattr(runner, "run_cell", crashing)
    with pytest.raises(KeyboardInterrupt):
        runner.run_cells(both)
    found, skipped = records.read_all(tmp_path)
    assert [r.model for r in found] == ["image_stats"]
    assert found[0].scores
    assert skipped == []
