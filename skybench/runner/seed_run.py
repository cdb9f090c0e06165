"""One seed of a cell: extract features, fit the head, predict, fill the metric."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from skybench.augment import apply, test_time
from skybench.checks.feature_collapse import feature_statistics
from skybench.checks.selection import selection_on_test
from skybench.core import FitContext, Head, Metric, ModelCard, Recipe
from skybench.core.dataset import Joined, Samples, groups_of
from skybench.core.loaded import WHICH
from skybench.core.model import Model
from skybench.data.subsampling import hold_out, stratified_subset
from skybench.features import online
from skybench.features.extractor import Extractor
from skybench.features.sources import CachedFeatures, SourceSubset
from skybench.heads.rate_search import choose_rate
from skybench.plan.cell import Cell
from skybench.report.pictures import Pictures
from skybench.runner import lazy_model, provenance, scoring, trained_weights
from skybench.runner.cell_features import (
    AllFeatures,
    KeptFeatures,
    OpenFeatures,
    open_features,
    weights_seed,
)
from skybench.runner.network_costs import network_costs
from skybench.training import activation_checkpointing, drop_path
from skybench.training.recipe_check import check_rates
from skybench.weights import load

HELD_OUT = 0.2  # of train, where a dataset has no validation split


@dataclass(frozen=True)
class Outcome:
    """The result of one seed."""

    seed: int
    metric: Metric
    chosen: Mapping[str, Any]
    used: Mapping[str, Any]  # facts about the network, which itself is not kept beyond its seed
    samples: Mapping[str, int]
    timing: Mapping[str, float]
    features: Mapping[str, Any]  # statistics of the test images' features, of the first seed
    # Test scores in the state that does not count; None: there is none, or it is the same.
    other: Mapping[str, float] | None = None


@dataclass
class Shared:
    """What the seeds of a cell have in common; the first of them fills it."""

    features: KeptFeatures = field(default_factory=dict)
    # Of heads that use no seed, by that of the weights and the samples of train and val.
    outcomes: dict[tuple[Any, ...], Outcome] = field(default_factory=dict)


class _Parts(NamedTuple):
    """The samples of a seed; val: what choices rest on."""

    train: SourceSubset
    val: SourceSubset | None
    test: SourceSubset


def run_seed(cell: Cell, setting: FitContext, draw: Pictures | None, shared: Shared) -> Outcome:
    """Run one seed; in distributed training every rank calls this and gets the same Outcome."""
    check_rates(cell.recipe, cell.protocol.trains_backbone)
    model = _model(cell, setting)
    opened = open_features(cell, model, setting, shared.features)
    places = opened.samples.positions()
    sources = {r: SourceSubset(opened.whole, places[getattr(cell.recipe, r)]) for r in cell.splits}
    train, val = _parts(cell, sources, setting.seed)
    same = weights_seed(cell, setting.seed), tuple(train.indices), tuple(val.indices if val else ())
    if same in shared.outcomes:
        return replace(shared.outcomes[same], seed=setting.seed)
    parts = _Parts(train, val, sources["test"])
    outcome, uses_seed = _fitted(cell, setting, opened, parts, draw)
    if not uses_seed:
        shared.outcomes[same] = outcome
    return outcome


def _fitted(
    cell: Cell, setting: FitContext, opened: OpenFeatures, parts: _Parts, draw: Pictures | None
) -> tuple[Outcome, bool]:
    """Fit and score a head; return also whether the seed has a part in it."""
    extractor, samples, whole, timing = opened
    train, val, test = parts
    metric = cell.task.metric(cell.splits["test"].card)
    setting = scoring.with_scores(setting, cell, metric, test, samples.keys)
    setting = _learning(cell, setting, samples, extractor.model, whole, train)
    card = _seen_card(cell, extractor.model, whole)
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
    chosen = {**chosen, **searched, **_noted(cell, samples, train, val)}
    held = 0 if val is None or cell.recipe.counting == "best-on-test" else len(val)
    counts = {"train": len(train), "val": held, "test": len(test)}
    timing = {**timing, **_costs(cell, extractor)}
    used = provenance.used_facts(cell, extractor.model, setting.device)
    outcome = Outcome(setting.seed, metric, chosen, used, counts, timing, looked, scores.other)
    return outcome, getattr(head, "uses_seed", True)


def _head(cell: Cell, card: ModelCard, recipe: Recipe) -> Head:
    return cell.task.head(recipe, card, cell.splits["train"].card)


def _learning(
    cell: Cell,
    setting: FitContext,
    samples: Joined,
    model: Model,
    whole: AllFeatures,
    train: SourceSubset,
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
    setting = setting._replace(prefetch=train.prefetch)
    if isinstance(whole, online.OnlineFeatures):
        setting = setting._replace(
            backbone=model if cell.protocol.trains_backbone else None,
            on_epoch_start=whole.set_epoch,
        )
    return setting


def _costs(cell: Cell, extractor: Extractor) -> dict[str, float]:
    return {
        **network_costs(extractor, cell),
        "parameters_in_all": lazy_model.parameters_in_all(extractor.model),
    }


def _looked(
    cell: Cell, whole: AllFeatures, extractor: Extractor, samples: Joined
) -> dict[str, Any]:
    """Statistics of the test features, and why they were made again although they were cached."""
    seen = samples.positions()[cell.recipe.test]
    remade = whole.remade if isinstance(whole, CachedFeatures) else ""
    told: dict[str, Any] = {"remade": remade} if remade else {}
    if cell.recipe.rounding:
        told["rounding_errors"] = [float(f"{error:.3g}") for error in whole.errors()]
    return {**feature_statistics(whole, extractor, samples, seen), **told}


def _model(cell: Cell, setting: FitContext) -> Model:
    """The model, which is loaded later, or never, where its features may all be kept."""
    kept = not (cell.protocol.trains_backbone or cell.recipe.augment or cell.recipe.views)
    known = lazy_model.known_facts(cell) if kept else None
    if known is None:
        return load_cell_model(cell, setting)
    load_now = functools.partial(load_cell_model, cell, setting)
    return lazy_model.LazyModel(cell.model, known, load_now)


def load_cell_model(cell: Cell, setting: FitContext) -> Model:
    """Return the model on the device: a private copy where the backbone is trained."""
    model = _load(
        cell.model.name,
        cell.weights,
        cell.variant,
        weights_seed(cell, setting.seed),
        tuple(sorted(cell.arch.items())),
    )
    if cell.protocol.trains_backbone:
        model = copy.deepcopy(model)  # others use it as it was
        drop_path.insert(model, cell.recipe.drop_path)
        if setting.recompute_activations:
            activation_checkpointing.enable(model)
    model.to(setting.device)
    return model


def _noted(
    cell: Cell,
    samples: Samples,
    train: SourceSubset,
    val: SourceSubset | None,
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
    lazy_model.remember(cell, model, dates)
    dim = model.card.dim
    if cell.protocol.level == "pooled" and isinstance(
        whole, online.OnlineFeatures
    ):  # parts may differ in width
        with torch.no_grad():
            dim = whole.vectors([0]).shape[1]
    return replace(model.card, dim=dim, levels=model.levels_of(dates))


@functools.lru_cache(maxsize=1)
def _load(
    name: str, path: str, variant: str, seed: int, arch: tuple[tuple[str, Any], ...]
) -> Model:
    """Load a model, with the last one cached: cells are ordered by model."""
    settings = dict(arch)
    chosen = {"which": settings.pop(WHICH)} if WHICH in settings else {}
    source = None if path == "none" else path
    return load.load_model(name, source, variant, seed, **chosen, **settings)


def _parts(
    cell: Cell, sources: Mapping[str, SourceSubset], seed: int
) -> tuple[SourceSubset, SourceSubset | None]:
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
