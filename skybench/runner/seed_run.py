"""One seed of a cell: extract features, fit the head, predict, fill the metric."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from skybench.augment import apply, test_time
from skybench.checks.feature_collapse import feature_statistics
from skybench.checks.metric_self_test import check_metric
from skybench.core import DataError, FitContext, Head, Metric, ModelCard, ScoreInfo, Workers
from skybench.core.dataset import Joined, Samples
from skybench.core.loaded import WHICH
from skybench.core.model import Model
from skybench.data.subsampling import hold_out, stratified_subset
from skybench.features import extraction, online
from skybench.plan.cell import Cell, plain_arch
from skybench.report.pictures import Pictures
from skybench.runner import provenance, trained_weights
from skybench.training import activation_checkpointing, drop_path
from skybench.training.distributed import SINGLE_PROCESS
from skybench.weights import load

HELD_OUT = 0.2  # of train, where a dataset has no validation split
TOGETHER = 16  # test samples that each of several processes predicts between two exchanges

AllFeatures = extraction.CachedFeatures | extraction.StreamedFeatures


@dataclass(frozen=True)
class Outcome:
    """The result of one seed."""

    seed: int
    metric: Metric
    chosen: Mapping[str, Any]
    model: Model
    samples: Mapping[str, int]
    timing: Mapping[str, float]
    features: Mapping[str, Any]  # statistics of the test images' features, of the first seed


def run_seed(cell: Cell, setting: FitContext, draw: Pictures | None) -> Outcome:
    """Run one seed; in distributed training every rank calls this and gets the same Outcome."""
    report, workers = setting.report, setting.workers or SINGLE_PROCESS
    model = _model(cell, setting)
    extractor, samples, whole, timing = _extract(cell, model, setting)
    found = samples.positions()
    sources = {
        r: extraction.SourceSubset(whole, found[getattr(cell.recipe, r)]) for r in cell.splits
    }
    train, val = _parts(cell, sources, setting.seed)
    test = sources["test"]
    metric = cell.task.metric(cell.splits["test"].card)
    score = functools.partial(_score, metric.fresh(), samples.keys, workers)
    info = _main_score_info(cell, metric, test)
    setting = setting._replace(validation_score=score, score_info=info)
    if setting.keep_weights:
        learnt = [
            samples.keys[i] for r in ("train", "val") if r in sources for i in sources[r].indices
        ]
        setting = setting._replace(about=trained_weights.about_training(cell, model, learnt))
    card = _seen_card(cell, model, whole)
    if isinstance(whole, online.OnlineFeatures):
        setting = setting._replace(
            backbone=model, on_epoch_start=whole.set_epoch, prefetch=train.prefetch
        )
    head = cell.task.head(cell.recipe, card, cell.splits["train"].card)
    if cell.recipe.views:
        test_time.check_views_fit(cell.recipe.views, test)
    report("head", 0, 1)
    chosen = head.fit(train, val, setting)
    keys = cell.splits["test"].keys
    for index, prediction in enumerate(predictions(head, test, workers)):
        metric.update(prediction, test.target(index), keys[index])
        if draw is not None:
            draw(index, prediction)
        report("test", index + 1, len(test))
    looked = {} if setting.seed else _looked(cell, whole, extractor, samples)
    _require_unchanged(cell)
    return Outcome(
        setting.seed,
        metric,
        {**chosen, **_noted(cell, samples, train)},
        model,
        {"train": len(train), "val": 0 if val is None else len(val), "test": len(test)},
        {**timing, **_costs(cell, extractor)},
        looked,
    )


def _costs(cell: Cell, extractor: extraction.Extractor) -> dict[str, float]:
    return {
        "gflops": provenance.gflops(extractor, cell),
        "parameters": trained_weights.parameters_used(extractor, cell),
    }


def _looked(
    cell: Cell, whole: AllFeatures, extractor: extraction.Extractor, samples: Joined
) -> dict[str, Any]:
    """Statistics of the test features, and why they were made again although they were cached."""
    seen = samples.positions()[cell.recipe.test]
    remade = whole.remade if isinstance(whole, extraction.CachedFeatures) else ""
    told = {"remade": remade} if remade else {}
    return {**feature_statistics(whole, extractor, samples, seen), **told}


def _require_unchanged(cell: Cell) -> None:
    """Raise DataError where files are no longer those that the fingerprint was made of."""
    for role, planned in cell.contents.items():
        if cell.splits[role].content() != planned:
            raise DataError(
                f"files of the {role} split of {cell.dataset} changed after the run was planned; "
                "what was measured is of neither state. Run the same command again"
            )


def _extract(
    cell: Cell, model: Model, setting: FitContext
) -> tuple[extraction.Extractor, Joined, AllFeatures, dict[str, float]]:
    """The extractor, the samples of all splits, their features, and the time that these took."""
    _require_unchanged(cell)
    extractor = extraction.Extractor(
        model, cell.found, cell.task.time, cell.recipe.size, setting.device
    )
    needed = {f.sensor for f in cell.found.values()}
    start, samples = time.perf_counter(), Joined({n: s.only(needed) for n, s in cell.pool.items()})
    whole, cached = _features(cell, extractor, samples, setting)
    spent = time.perf_counter() - start
    timing = {"extract_s": spent, "extracted": 0 if cached else len(samples)}
    return extractor, samples, whole, timing


def predictions(head: Head, test: extraction.SourceSubset, workers: Workers) -> Iterator[Any]:
    """Yield all predictions in order; ranks share the work, and each gets all predictions."""
    if workers.size == 1:
        yield from head.predict(test)
        return
    block = TOGETHER * workers.size
    for start in range(0, len(test), block):
        indices = range(start, min(start + block, len(test)))
        mine = indices[workers.rank :: workers.size]
        told = workers.gather([*head.predict(test.subset(mine))] if mine else [])
        for place in range(len(indices)):
            yield told[place % workers.size][place // workers.size]


def _main_score_info(cell: Cell, metric: Metric, test: extraction.SourceSubset) -> ScoreInfo:
    """Direction and unit of the main score, from the metric's self-test on the test targets.

    Without public test labels: of the first score that the metric describes.
    """
    if not cell.scored:
        return next(iter(getattr(metric, "info", {}).values()), ScoreInfo())
    keys = cell.splits["test"].keys
    truth = ((key, test.target(i)) for i, key in enumerate(keys))
    return check_metric(metric, truth, cell.declared_target)


def _score(
    empty: Metric, keys: Sequence[str], workers: Workers, head: Head, val: extraction.SourceSubset
) -> float:
    """The main score of a head's current predictions."""
    metric = empty.fresh()
    with torch.no_grad():
        for index, prediction in enumerate(predictions(head, val, workers)):
            metric.update(prediction, val.target(index), keys[val.indices[index]])
    return float(next(iter(metric.scores().values())))


def _model(cell: Cell, setting: FitContext) -> Model:
    """The model on the device: a private copy where the backbone is trained."""
    model = _load(
        cell.model.name,
        cell.weights,
        cell.variant,
        _weights_seed(cell, setting.seed),
        tuple(sorted(cell.arch.items())),
    )
    if cell.protocol.trains_backbone:
        model = copy.deepcopy(model)  # others use it as it was
        drop_path.insert(model, cell.recipe.drop_path)
        if setting.recompute_activations:
            activation_checkpointing.enable(model)
    model.to(setting.device)
    return model


def _features(
    cell: Cell, extractor: extraction.Extractor, samples: Samples, setting: FitContext
) -> tuple[AllFeatures, bool]:
    """The features of all samples, and whether they were cached or are computed during training."""
    if cell.protocol.trains_backbone:
        return online.OnlineFeatures(extractor, samples, cell.recipe.augment, setting.seed), True
    if cell.recipe.views:  # kept features are of one view
        return extraction.StreamedFeatures(extractor, samples), False
    identity = _identity(cell, samples, _weights_seed(cell, setting.seed))
    return extraction.split_features(
        extractor, samples, identity, cell.protocol.level, setting.report
    )


def _noted(cell: Cell, samples: Samples, train: extraction.SourceSubset) -> dict[str, Any]:
    """Facts about training for the record: augmentation, classes without training samples."""
    noted: dict[str, Any] = {}
    if cell.recipe.augment:
        noted["augment"] = apply.effective_augmentations(cell.recipe.augment, samples.card)
    split = cell.splits["train"]
    if split.labels and not split.card.multilabel:
        known = dict(zip(split.keys, split.labels, strict=True))
        there = {known[samples.keys[i]] for i in train.indices if samples.keys[i] in known}
        absent = [c for n, c in enumerate(split.card.classes) if n not in there]
        if absent:
            noted["absent_classes"] = absent  # of the fraction of the training split
    return noted


def _seen_card(cell: Cell, model: Model, whole: AllFeatures) -> ModelCard:
    """The model's card with the widths and pyramid for the cell's sensors and dates."""
    images = cell.splits["train"].read(0).images
    kept = cell.task.time == "keep"
    dates = {name: 1 if kept else len(images[f.sensor]) for name, f in cell.found.items()}
    dim = model.card.dim
    if cell.protocol.level == "pooled" and isinstance(
        whole, online.OnlineFeatures
    ):  # parts may differ in width
        with torch.no_grad():
            dim = whole.vectors([0]).shape[1]
    return replace(model.card, dim=dim, levels=model.levels_of(dates))


def _weights_seed(cell: Cell, seed: int) -> int:
    """The seed of random initial weights; published weights do not depend on it."""
    return seed if cell.weights == "random" else 0


@functools.lru_cache(maxsize=1)
def _load(
    name: str, path: str, variant: str, seed: int, arch: tuple[tuple[str, Any], ...]
) -> Model:
    """Load a model, with the last one cached: cells are ordered by model."""
    settings = dict(arch)
    chosen = {"which": settings.pop(WHICH)} if WHICH in settings else {}
    source = None if path == "none" else path
    return load.load_model(name, source, variant, seed, **chosen, **settings)


def _identity(cell: Cell, samples: Samples, seed: int) -> dict[str, Any]:
    """All that identifies cached features, apart from size and samples."""
    return {
        "model": [cell.model.name, cell.model.version, cell.variant, cell.weights_id, seed],
        **({"arch": plain_arch(cell)} if cell.arch else {}),
        "dataset": [
            cell.dataset_id,
            samples.card.version,
            cell.recipe.tile,
            cell.demo,
            samples.card.tile,
        ],
        **({"options": list(cell.recipe.options)} if cell.recipe.options else {}),
        "images": samples.images_identity(),
    }


def _parts(
    cell: Cell, sources: Mapping[str, extraction.SourceSubset], seed: int
) -> tuple[extraction.SourceSubset, extraction.SourceSubset | None]:
    """The training and the validation part, after the fraction and holding out."""
    samples, train = cell.splits["train"], sources["train"]
    wanted = max(1, round(cell.recipe.fraction * len(samples)))
    used = stratified_subset(samples.labels, len(samples), wanted, seed)
    if "val" in sources:
        return train.subset(used), sources["val"]
    if cell.protocol.trains_stepwise and not cell.recipe.validate:  # nothing is selected
        return train.subset(used), None
    labels = samples.labels or (0,) * len(samples)
    stay, out = hold_out([labels[i] for i in used], HELD_OUT, seed)
    return train.subset([used[i] for i in stay]), train.subset([used[i] for i in out])
