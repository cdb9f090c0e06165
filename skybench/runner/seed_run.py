"""One seed of a cell: extract features, fit the head, predict, fill the metric."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from skybench.augment import apply, test_time
from skybench.checks.feature_collapse import feature_statistics
from skybench.checks.selection import selection_on_test
from skybench.core import DataError, FitContext, Head, Metric, ModelCard, Recipe
from skybench.core.dataset import Joined, Samples, groups_of
from skybench.core.loaded import WHICH
from skybench.core.model import Model
from skybench.data.subsampling import hold_out, stratified_subset
from skybench.features import extraction, online
from skybench.heads.rate_search import check_rates, choose_rate
from skybench.plan.cell import Cell, plain_arch
from skybench.report.pictures import Pictures
from skybench.runner import provenance, scoring, trained_weights
from skybench.training import activation_checkpointing, drop_path
from skybench.weights import load

HELD_OUT = 0.2  # of train, where a dataset has no validation split

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
    # Test scores in the state that does not count; None: there is none, or it is the same.
    other: Mapping[str, float] | None = None


def run_seed(cell: Cell, setting: FitContext, draw: Pictures | None) -> Outcome:
    """Run one seed; in distributed training every rank calls this and gets the same Outcome."""
    check_rates(cell.recipe, cell.protocol.trains_backbone)
    model = _model(cell, setting)
    extractor, samples, whole, timing = _extract(cell, model, setting)
    found = samples.positions()
    sources = {
        r: extraction.SourceSubset(whole, found[getattr(cell.recipe, r)]) for r in cell.splits
    }
    train, val = _parts(cell, sources, setting.seed)
    test = sources["test"]
    metric = cell.task.metric(cell.splits["test"].card)
    setting = scoring.with_scores(setting, cell, metric, test, samples.keys)
    setting = _learning(cell, setting, samples, model, whole, train)
    card = _seen_card(cell, model, whole)
    if cell.recipe.views:
        test_time.check_views_fit(cell.recipe.views, test)
    setting.report("head", 0, 1)
    build = functools.partial(_head, cell, card)
    recipe, searched = choose_rate(cell.recipe, train, setting, build)
    head, scores = build(recipe), scoring.FinalScores(cell, metric, test, setting)
    if cell.scored:
        setting = setting._replace(other_state=functools.partial(scores.of_other_state, head))
    chosen = head.fit(train, val, setting)
    scores.fill(head, draw)
    looked = {} if setting.seed else _looked(cell, whole, extractor, samples)
    _require_unchanged(cell)
    chosen = {**chosen, **searched, **_noted(cell, samples, train, val)}
    held = 0 if val is None or cell.recipe.counting == "best-on-test" else len(val)
    counts = {"train": len(train), "val": held, "test": len(test)}
    timing = {**timing, **_costs(cell, extractor)}
    return Outcome(setting.seed, metric, chosen, model, counts, timing, looked, scores.other)


def _head(cell: Cell, card: ModelCard, recipe: Recipe) -> Head:
    return cell.task.head(recipe, card, cell.splits["train"].card)


def _learning(
    cell: Cell,
    setting: FitContext,
    samples: Joined,
    model: Model,
    whole: AllFeatures,
    train: extraction.SourceSubset,
) -> FitContext:
    """The setting with what a training needs: units, features in epochs, facts to keep."""
    units = groups_of(samples)
    setting = setting._replace(groups=[units[i] for i in train.indices])
    if setting.keep_weights:
        roles = {"train": cell.recipe.train, "val": cell.recipe.val}
        if selection_on_test(cell):
            roles["test"] = cell.recipe.test
        found = samples.positions()
        learnt = [samples.keys[i] for r, name in roles.items() if r in cell.splits
                  for i in found[name]]  # fmt: skip
        setting = setting._replace(about=trained_weights.about_training(cell, model, learnt))
    if isinstance(whole, online.OnlineFeatures):
        setting = setting._replace(
            backbone=model if cell.protocol.trains_backbone else None,
            on_epoch_start=whole.set_epoch,
            prefetch=train.prefetch,
        )
    return setting


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
    if cell.protocol.trains_backbone or cell.recipe.augment:
        return online.OnlineFeatures(
            extractor,
            samples,
            cell.recipe,
            setting.seed,
            frozen=not cell.protocol.trains_backbone,
        ), True
    if cell.recipe.views:  # kept features are of one view
        return extraction.StreamedFeatures(extractor, samples), False
    identity = _identity(cell, samples, _weights_seed(cell, setting.seed))
    return extraction.split_features(
        extractor, samples, identity, cell.protocol.level, setting.report
    )


def _noted(
    cell: Cell,
    samples: Samples,
    train: extraction.SourceSubset,
    val: extraction.SourceSubset | None,
) -> dict[str, Any]:
    """Facts about training for the record: augmentation, classes without training samples.

    And what its choices, if there are any, are made on.
    """
    noted: dict[str, Any] = {}
    if val is not None and (cell.recipe.scored_every or not cell.protocol.trains_stepwise):
        name = cell.recipe.test if cell.recipe.counting == "best-on-test" else cell.recipe.val
        noted["chosen_on"] = name or "a held-out fifth of train"
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
    """The training part, after the fraction and holding out, and the part that choices rest on."""
    samples, train, recipe = cell.splits["train"], sources["train"], cell.recipe
    wanted = max(1, round(recipe.fraction * len(samples)))
    used = stratified_subset(samples.labels, len(samples), wanted, seed)
    if recipe.counting == "best-on-test":
        return train.subset(used), sources["test"]
    if "val" in sources:
        return train.subset(used), sources["val"]
    if cell.protocol.trains_stepwise and not recipe.scored_every:  # nothing is selected
        return train.subset(used), None
    labels, units = samples.labels or (0,) * len(samples), groups_of(samples)
    stay, out = hold_out([labels[i] for i in used], HELD_OUT, seed, [units[i] for i in used])
    return train.subset([used[i] for i in stay]), train.subset([used[i] for i in out])
