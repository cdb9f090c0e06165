"""Fine-tuning: every task learns a few samples by heart, and gradients go where they should."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch

from skybench import features, live, registry
from skybench.core import DatasetPlugin, Setting, Task, match
from skybench.plan import demo_root
from skybench.weights import load_model

# task, dataset, side of its tiles, the score of learning by heart
CASES = [
    ("scene_classification", "eurosat", 0, 99.0),
    ("scene_classification", "ben_s2", 0, 95.0),
    ("semantic_segmentation", "potsdam", 64, 85.0),
    ("change_detection", "levir_cd", 64, 80.0),
]


def learned(task_name: str, dataset: str, tile: int) -> tuple[Any, float, Any]:
    """The backbone, the main score on what was learned, and the state of the backbone before."""
    task = cast(Task, registry.load("tasks", task_name).TASK)
    plugin = cast(DatasetPlugin, registry.load("datasets", dataset))
    (recipe, *_) = task.recipes(plugin.CARD, "finetune", True)
    recipe = replace(recipe, tile=tile, batch=4, lr=5e-3, width=16, epochs=100, augment=())
    options = dict(option.split("=", 1) for option in recipe.options)
    samples = plugin.open(demo_root(dataset), recipe.train, tile, **options)
    model = load_model("galileo", "random", "tiny")
    before = {name: p.clone() for name, p in model.named_parameters()}
    found = match(model.card, samples.card.sensors)
    extractor = features.Extractor(model, found, task.time, 32, "cpu")
    step = max(1, len(samples) // 4)
    source = features.Chosen(live.Live(extractor, samples), range(0, len(samples), step)[:4])
    card = replace(model.card, levels=model.levels_of(dict.fromkeys(found, 1)))
    head, metric = task.head(recipe, card, samples.card), task.metric(samples.card)
    head.fit(source, None, Setting(0, backbone=model))
    with torch.inference_mode():
        for i, said in enumerate(head.predict(source)):
            metric.update(said, source.target(i), samples.keys[source.indices[i]])
    return model, next(iter(metric.scores().values())), before


@pytest.mark.parametrize(("task", "dataset", "tile", "least"), CASES)
def test_a_few_samples_are_learned_by_heart(
    task: str, dataset: str, tile: int, least: float
) -> None:
    model, score, before = learned(task, dataset, tile)
    assert score >= least
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    used = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert used <= moved
    assert any("blocks.0." in name for name in moved)
