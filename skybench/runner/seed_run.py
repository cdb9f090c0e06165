"""One seed of a cell: features, a head that learns, predictions, their metric."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from skybench.augment import apply, test_time
from skybench.checks import feature_collapse, metric_self_test
from skybench.core import Head, Metric, ModelCard, Setting, Source, Workers
from skybench.core.dataset import Joined, Samples
from skybench.core.model import Model
from skybench.data.subsampling import hold_out, stratified
from skybench.features import extraction, online
from skybench.plan.cell import Cell, plain_arch
from skybench.report.pictures import Drawings
from skybench.runner import provenance
from skybench.training import activation_checkpointing, drop_path
from skybench.training.distributed import ALONE
from skybench.weights import load

HELD_OUT = 0.2  # of train, where a dataset has no validation split
TOGETHER = 16  # test samples that each of several processes predicts between two exchanges


@dataclass(frozen=True)
class Outcome:
    """What one seed gave."""

    seed: int
    metric: Metric
    chosen: Mapping[str, Any]
    model: Model
    samples: Mapping[str, int]
    timing: Mapping[str, float]
    looked: Mapping[str, Any]  # what the features of the test images are like, of the first


def one_seed(cell: Cell, setting: Setting, draw: Drawings | None) -> Outcome:
    """Runs a seed to its end; in each of several processes with the same outcome."""
    report, workers = setting.report, setting.workers or ALONE
    model = _model(cell, setting)
    extractor = extraction.Extractor(
        model, cell.found, cell.task.time, cell.recipe.size, setting.device
    )
    needed = {f.sensor for f in cell.found.values()}
    start, samples = time.perf_counter(), Joined({n: s.only(needed) for n, s in cell.pool.items()})
    whole, cached = _features(cell, extractor, samples, setting)
    spent = time.perf_counter() - start
    found = samples.places()
    sources = {r: extraction.Chosen(whole, found[getattr(cell.recipe, r)]) for r in cell.splits}
    train, val = _parts(cell, sources, setting.seed)
    test = sources["test"]
    metric = cell.task.metric(cell.splits["test"].card)
    keys = cell.splits["test"].keys
    if cell.scored:
        metric_self_test.check_metric(metric, ((key, test.target(i)) for i, key in enumerate(keys)))
    card = _seen_card(cell, model, whole)
    if isinstance(whole, online.Live):
        setting = setting._replace(backbone=model, begin=whole.begin, ahead=train.ahead)
    head = cell.task.head(cell.recipe, card, cell.splits["train"].card)
    judge = functools.partial(_judge, metric.fresh(), samples.keys, workers)
    if cell.recipe.views:
        test_time.require(cell.recipe.views, test)
    report("head", 0, 1)
    chosen = head.fit(train, val, setting._replace(judge=judge))
    for index, prediction in enumerate(predictions(head, test, workers)):
        metric.update(prediction, test.target(index), keys[index])
        if draw is not None:
            draw(index, prediction)
        report("test", index + 1, len(test))
    seen = found[cell.recipe.test]
    return Outcome(
        setting.seed,
        metric,
        {**chosen, **_noted(cell, samples, train)},
        model,
        {"train": len(train), "val": 0 if val is None else len(val), "test": len(test)},
        {
            "extract_s": spent,
            "extracted": 0 if cached else len(samples),
            "gflops": provenance.gflops(extractor, cell),
        },
        {} if setting.seed else feature_collapse.look(whole, extractor, samples, seen),
    )


def predictions(head: Head, test: extraction.Chosen, workers: Workers) -> Iterator[Any]:
    """Each sample's, once and in order, whoever computed it: all processes get all."""
    if workers.size == 1:
        yield from head.predict(test)
        return
    block = TOGETHER * workers.size
    for start in range(0, len(test), block):
        indices = range(start, min(start + block, len(test)))
        mine = indices[workers.rank :: workers.size]
        told = workers.gather([*head.predict(test.some(mine))] if mine else [])
        for place in range(len(indices)):
            yield told[place % workers.size][place // workers.size]


def _judge(
    empty: Metric, keys: Sequence[str], workers: Workers, head: Head, val: extraction.Chosen
) -> float:
    """The main score of what a head predicts now."""
    metric = empty.fresh()
    with torch.no_grad():
        for index, prediction in enumerate(predictions(head, val, workers)):
            metric.update(prediction, val.target(index), keys[val.indices[index]])
    return float(next(iter(metric.scores().values())))


def _model(cell: Cell, setting: Setting) -> Model:
    """The network, on the device; one that learns is a copy of its own."""
    model = _load(
        cell.model.name,
        cell.weights,
        cell.variant,
        _weights_seed(cell, setting.seed),
        tuple(sorted(cell.arch.items())),
    )
    if cell.recipe.protocol == "finetune":
        model = copy.deepcopy(model)  # others use it as it was
        drop_path.insert(model, cell.recipe.drop_path)
        if setting.recompute:
            activation_checkpointing.enable(model)
    model.to(setting.device)
    return model


def _features(
    cell: Cell, extractor: extraction.Extractor, samples: Samples, setting: Setting
) -> tuple[extraction.Stored | extraction.Streamed, bool]:
    """Those of all samples, and whether none is to be computed now."""
    if cell.recipe.protocol == "finetune":
        return online.Live(extractor, samples, cell.recipe.augment, setting.seed), True
    if cell.recipe.views:  # kept features are of one view
        return extraction.Streamed(extractor, samples), False
    identity = _identity(cell, samples, _weights_seed(cell, setting.seed))
    return extraction.source(extractor, samples, identity, cell.task.level, setting.report)


def _noted(cell: Cell, samples: Samples, train: extraction.Chosen) -> dict[str, Any]:
    """What else the record should say of a training."""
    noted: dict[str, Any] = {}
    if cell.recipe.augment:
        noted["augment"] = apply.applied(cell.recipe.augment, samples.card)
    split = cell.splits["train"]
    if split.labels and not split.card.multilabel:
        known = dict(zip(split.keys, split.labels, strict=True))
        there = {known[samples.keys[i]] for i in train.indices if samples.keys[i] in known}
        absent = [c for n, c in enumerate(split.card.classes) if n not in there]
        if absent:
            noted["absent_classes"] = absent  # in the fraction that was learned from
    return noted


def _seen_card(
    cell: Cell, model: Model, whole: extraction.Stored | extraction.Streamed
) -> ModelCard:
    """The model's card with the widths and the pyramid that the cell's sensors and dates give."""
    images = cell.splits["train"].read(0).images
    kept = cell.task.time == "keep"
    dates = {name: 1 if kept else len(images[f.sensor]) for name, f in cell.found.items()}
    dim = model.card.dim
    if cell.task.level == "pooled" and isinstance(whole, online.Live):  # parts may differ in width
        with torch.no_grad():
            dim = whole.vectors([0]).shape[1]
    return replace(model.card, dim=dim, levels=model.levels_of(dates))


def _weights_seed(cell: Cell, seed: int) -> int:
    """The seed of a network's initial values: those of trained weights do not vary."""
    return seed if cell.weights == "random" else 0


@functools.lru_cache(maxsize=1)
def _load(
    name: str, path: str, variant: str, seed: int, arch: tuple[tuple[str, Any], ...]
) -> Model:
    """The last model used stays in memory: cells are ordered by model."""
    return load.load_model(name, None if path == "none" else path, variant, seed, **dict(arch))


def _identity(cell: Cell, samples: Samples, seed: int) -> dict[str, Any]:
    """What tells the features of one split apart from all others, but for size and samples."""
    return {
        "model": [cell.model.name, cell.model.version, cell.variant, cell.weights_id, seed],
        **({"arch": plain_arch(cell)} if cell.arch else {}),
        "dataset": [cell.dataset_id, samples.card.version, cell.recipe.tile, cell.demo],
        **({"options": list(cell.recipe.options)} if cell.recipe.options else {}),
        "classes": list(samples.card.classes),
        "stamp": samples.stamp(),
    }


def _parts(
    cell: Cell, sources: Mapping[str, extraction.Chosen], seed: int
) -> tuple[extraction.Chosen, Source | None]:
    """What the head learns from and what it selects on, after fraction and holding out."""
    samples, train = cell.splits["train"], sources["train"]
    wanted = max(1, round(cell.recipe.fraction * len(samples)))
    used = stratified(samples.labels, len(samples), wanted, seed)
    if "val" in sources:
        return train.some(used), sources["val"]
    stepwise = cell.task.level == "pyramid" or cell.recipe.protocol == "finetune"
    if stepwise and not cell.recipe.validate:  # nothing is selected, so all is learned from
        return train.some(used), None
    labels = samples.labels or (0,) * len(samples)
    stay, out = hold_out([labels[i] for i in used], HELD_OUT, seed)
    return train.some([used[i] for i in stay]), train.some([used[i] for i in out])
