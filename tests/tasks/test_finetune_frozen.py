"""What must not move does not: frozen backbones, frozen parameters, statistics of batch norms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import UINT8, Batch, Features, ModelCard, ProtocolName, Recipe, Sensor
from skybench.core.model import Model
from skybench.plan.request import Request
from skybench.runner import seed_run
from skybench.runner.lazy_model import LazyModel
from skybench.runner.run_cells import run_cells
from skybench.weights.load import load_model

from ._finetune import Blocks, Learned, card_of, learn, score, task_of

NORMED = ("imagenet", "ssl4eo", "gassl")  # networks with batch normalisation
RGB = Sensor("hr", ("red", "green", "blue"), 0.0, UINT8)
CARD = ModelCard("normed", "Normed", "extra", (RGB,), 4, ((4, 1),), "ours", "ours", "none")


class Normed(Model):
    """A network whose batch norm learns its statistics in training, unlike those of baselines/."""

    def __init__(self) -> None:
        super().__init__(CARD)
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, batch: Batch) -> Features:
        x = self.norm(self.first(batch.images["hr"][:, 0] / 255)).relu()
        return Features(x.mean((2, 3)), (x,))


def statistics(model: Model) -> dict[str, Tensor]:
    """The buffers of batch norms, copied."""
    return {n: x.clone() for n, x in model.named_buffers() if "running" in n or "tracked" in n}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Model, dict[str, Tensor], str]]:
    """Every network that a cell loads or trains, with its state when it did."""
    seen: list[tuple[Model, dict[str, Tensor], str]] = []

    def watched(name: str) -> Callable[..., Model]:
        real = getattr(seed_run, name)

        def noted(*given: Any) -> Model:
            model: Model = real(*given)
            model = model.real() if isinstance(model, LazyModel) else model
            seen.append((model, {n: x.clone() for n, x in model.state_dict().items()}, name))
            return model

        return noted

    seed_run._load.cache_clear()
    for name in ("_load", "_model"):
        monkeypatch.setattr(seed_run, name, watched(name))
    return seen


def run(protocol: ProtocolName, task: str, dataset: str, folder: Path) -> None:
    few = {"epochs": "2", "batch": "2"}
    if protocol == "frozen":
        few["augment"] = "flip"  # features are made in training then
    request = Request(
        ("ssl4eo",), (task,), (dataset,), protocol, "demo", limit=4, results=folder, draw=0,
        overrides=few if "segmentation" in task or protocol == "finetune" else {},
    )  # fmt: skip
    (record,) = run_cells(request)
    assert record.status == "measured", record.note


@pytest.mark.parametrize(
    ("protocol", "task", "dataset"),
    [
        ("frozen", "scene_classification", "eurosat"),
        ("linear", "semantic_segmentation", "potsdam"),
        ("frozen", "semantic_segmentation", "potsdam"),
    ],
)
def test_a_frozen_backbone_stays_as_it_is(
    protocol: ProtocolName, task: str, dataset: str, tmp_path: Path, used: list[Any]
) -> None:
    run(protocol, task, dataset, tmp_path)
    assert {id(model) for model, _, _ in used} == {id(used[0][0])}  # no copy is needed
    model, before, _ = used[0]
    assert statistics(model)
    assert same(model.state_dict(), before)
    assert all(p.grad is None for p in model.parameters())
    assert not any(m.training for m in model.modules())


def test_a_backbone_that_learns_is_a_copy_of_the_one_that_others_use(
    tmp_path: Path, used: list[Any]
) -> None:
    run("finetune", "scene_classification", "eurosat", tmp_path)
    loaded = {id(model): (model, before) for model, before, name in used if name == "_load"}
    trained = {id(model): (model, before) for model, before, name in used if name == "_model"}
    assert not loaded.keys() & trained.keys()
    for model, before in loaded.values():
        assert same(model.state_dict(), before)
        assert all(p.grad is None for p in model.parameters())
    ((model, before),) = trained.values()
    now = model.state_dict()
    assert not any(torch.equal(now[n], before[n]) for n, _ in model.named_parameters())
    assert not any(m.training for m in model.modules())


def segmented(model: Model, size: int, protocol: ProtocolName = "finetune") -> Learned:
    """Two epochs of segmentation on made samples, augmented under any protocol."""
    task, samples = task_of("semantic_segmentation"), made()
    recipe = Recipe(
        protocol, size=size, epochs=2, batch=2, lr=1e-2, weight_decay=0.1, width=8,
        augment=("flip",),
    )  # fmt: skip
    return learn(task, recipe, model, samples)


def made() -> Blocks:
    return Blocks(card_of("potsdam"), "semantic_segmentation", 4, 1)


@pytest.mark.parametrize("name", NORMED)
def test_batch_norms_of_networks_learn_but_keep_their_statistics(name: str) -> None:
    model = load_model(name, "random", "tiny_rgb" if name == "ssl4eo" else "tiny")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = statistics(model)
    weights = [m.weight.detach().clone() for m in norms]
    learned = segmented(model, 64)
    assert same(statistics(model), before)
    moved = [not torch.equal(m.weight, w) for m, w in zip(norms, weights, strict=True)]
    seen = {id(p) for n, p in learned.loss.named_parameters() if n in learned.reached}
    assert moved == [id(m.weight) in seen for m in norms]
    assert sum(moved) > len(moved) / 2


def test_batch_norms_in_training_mode_learn_their_statistics_there_alone() -> None:
    model = Normed().eval()
    before = statistics(model)
    learned = segmented(model, 16)
    after = statistics(model)
    assert after["norm.num_batches_tracked"] == 4
    assert not any(torch.equal(after[n], before[n]) for n in after)
    score(task_of("semantic_segmentation"), learned, made())
    assert same(statistics(model), after)
    frozen = segmented(model, 16, "frozen")
    score(task_of("semantic_segmentation"), frozen, made())
    assert same(statistics(model), after)
    assert {n.partition(".")[0] for n in frozen.reached} == {"head"}


def test_norms_of_a_dense_head_learn_their_statistics() -> None:
    head = segmented(Normed().eval(), 16).loss.head
    assert isinstance(head, nn.Module)
    found = [m.running_mean for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert found
    assert all(mean is not None and mean.any() for mean in found)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_parameters_that_need_no_gradient_stay(decay: float) -> None:
    model = load_model("ssl4eo", "random", "tiny_rgb")
    stem: Any = model.layers()[0]
    for parameter in stem.parameters():
        parameter.requires_grad_(False)
    task, samples = (
        task_of("scene_classification"),
        Blocks(card_of("eurosat"), "scene_classification", 4, 1),
    )
    (recipe, *_) = task.recipes(samples.card, "finetune", True)
    recipe = replace(recipe, epochs=2, batch=2, size=32, layer_decay=decay, weight_decay=0.5)
    learned = learn(task, recipe, model, samples)
    still = {f"backbone.{n}" for n, p in model.named_parameters() if not p.requires_grad}
    assert len(still) == 3
    for name, parameter in model.named_parameters():
        same_as_before = torch.equal(parameter, learned.before[name])
        assert same_as_before == (f"backbone.{name}" in still), name
    assert not still & learned.reached.keys()
