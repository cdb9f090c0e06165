"""Loading of weights into a model: published, given, or random."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import (
    CannotRun,
    ModelCard,
    ModelPlugin,
    UsageError,
    WeightsError,
    registry,
    variants,
)
from skybench.core.loaded import Coverage as Coverage
from skybench.core.loaded import LoadInfo
from skybench.weights import coverage, layouts, origins, published
from skybench.weights.checkpoint_file import read_checkpoint as read_checkpoint
from skybench.weights.checkpoint_file import sha256_file as sha256_file
from skybench.weights.coverage import compare_keys as compare_keys
from skybench.weights.find import hash_mismatch, require_weights_file
from skybench.weights.published import PublishedState, skipped_objects

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

DTYPES = ("float32", "bfloat16")
TRIED = 2  # layouts of a file's keys, beside its own


def load_into(model: Model, plugin: ModelPlugin, state: Mapping[str, Tensor]) -> Coverage:
    """Copy a published state dict, without its container, into a model.

    Raises WeightsError, with the model unchanged, where a parameter is missing or has another
    shape, or where a tensor inside the network has no place: the weights are another network's.
    """
    from skybench.weights.meta_init import load_tensors

    keyed = coverage.model_keys(model, plugin, state)
    covered = coverage.compare_state(model, keyed)
    coverage.require_coverage(model.card, covered)
    load_tensors(model, keyed.state)
    return covered


def load_model(
    name: str,
    weights: str | Path | Mapping[str, Any] | None = None,
    variant: str = "full",
    seed: int = 0,
    dtype: str = "float32",
    which: str = "",
    **arch: Any,
) -> Model:
    """Load a model in eval mode, with published, given or random weights.

    weights: None or "auto" (see `find_weights`), "random", a path, or a published state dict, with
    or without its container. variant: where "full" stands for several, the file decides, else the
    first is loaded. seed: of random weights. dtype: "bfloat16" halves the memory; features are
    float32 all the same. which: "raw", "ema", "student" or "teacher", where a file holds several
    sets of weights. arch: settings of the network; where they are not given, they follow from the
    published weights, as the plugin's `settings(state)` says. The model's attribute `loaded` is a
    LoadInfo.
    Raises MissingWeights where no weights are found, WeightsError where they do not fit, CannotRun
    where the network cannot be built, UsageError for an unknown name, variant or setting.
    """
    import torch

    from skybench.weights import meta_init

    plugin: Any = registry.model(name)
    candidates = variants.resolve_variants(plugin, variant)
    card = variants.variant_card(plugin, candidates[0])
    if card.unavailable:
        raise CannotRun(f"{card.name} cannot be built: {card.unavailable}")
    if dtype not in DTYPES:
        raise UsageError(f"Expected dtype to be one of {', '.join(DTYPES)}, but got {dtype!r}.")
    given = _obtain(card, weights, candidates[0], which)  # read before the network is built
    if given is None:
        model = _build(plugin, candidates[0], arch, seed)
        model.loaded = LoadInfo("none" if card.weights is None else "random")
    else:
        known = _variant_of(plugin, given) if variant == "full" else ""
        request = _LoadRequest(plugin, known or candidates[0], arch, seed, dtype)
        model = _load_given(request, given)
    if dtype != "float32":
        meta_init.lower_precision(model, getattr(torch, dtype))
    return model.eval()


def _obtain(card: ModelCard, weights: Any, variant: str, which: str) -> PublishedState | None:
    """Return the weights that were given or found; None for random ones, and without any."""
    if isinstance(weights, Mapping):
        return published.given_state(card.name, weights, which)
    path = require_weights_file(card, "auto" if weights is None else weights, variant)
    return published.read_published(card.name, path, which) if path else None


def _variant_of(plugin: Any, given: PublishedState) -> str:
    if given.kept:
        return given.kept.variant if given.kept.variant in plugin.VARIANTS else ""
    return layouts.find_variant(plugin, given.state)


class _LoadRequest(NamedTuple):
    """A network to build and fill; `arch` are the settings that were asked for."""

    plugin: Any
    variant: str
    arch: Mapping[str, Any]
    seed: int
    dtype: str

    def builder(self, decided: Mapping[str, Any]) -> Callable[[], Model]:
        """Return the function that builds the network with the settings that a file decides."""
        arch = {**decided, **self.arch}
        return functools.partial(_build, self.plugin, self.variant, arch, self.seed)


def _build(plugin: Any, variant: str, arch: Mapping[str, Any], seed: int) -> Model:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Model = plugin.build(variant, **arch)
    return model


class _Fitted(NamedTuple):
    """A network without memory for its large parameters, and a state dict in its own keys."""

    model: Model
    keyed: coverage.KeyedState
    covered: Coverage
    decided: Mapping[str, Any]  # settings that follow from the file


def _load_given(request: _LoadRequest, given: PublishedState) -> Model:
    """Build a model and load the weights that were given; `given.state` is emptied."""
    if given.kept:
        given.kept.require_model(request.plugin.CARD.name, request.variant)
        fitted = _fit_own(request, given.state, given.kept.arch)
    else:
        fitted = _best_fit(request, given.state)
    if not fitted.covered.enough:
        from skybench.weights import identify

        name, state = request.plugin.CARD.name, given.state
        other = fitted.covered.lacking or fitted.covered.mismatched  # or tensors were only added
        hint = identify.variant_hint(name, state) or identify.model_hint(state) if other else ""
        coverage.require_coverage(fitted.model.card, fitted.covered, hint)
    else:
        used = frozenset[str]().union(*fitted.keyed.origins.values())
        layouts.require_single(str(given.path or "The given state dict"), given.state, used)
    seen = () if given.kept else coverage.known_training(request.plugin, given.state)
    given.state.clear()  # so that each tensor is freed once it is copied into the model
    model, covered = _fill(request, fitted)
    info = _load_info(request, given, covered)
    model.loaded = replace(info, decided=fitted.decided, trained_on=seen)
    return model


def _fit(request: _LoadRequest, state: Mapping[str, Tensor]) -> _Fitted:
    """Build the network that a published state dict asks for, and convert the state dict."""
    from skybench.weights import meta_init

    decided = coverage.decided_settings(request.plugin, request.variant, state)
    model = meta_init.build_on_meta(request.builder(decided))
    keyed = coverage.model_keys(model, request.plugin, state)
    return _Fitted(model, keyed, coverage.compare_state(model, keyed), decided)


def _fit_own(
    request: _LoadRequest, state: Mapping[str, Tensor], arch: Mapping[str, Any]
) -> _Fitted:
    """Build the network for a state dict in its own keys."""
    from skybench.weights import meta_init

    model, keyed = meta_init.build_on_meta(request.builder(arch)), coverage.own_keys(state)
    return _Fitted(model, keyed, coverage.compare_state(model, keyed), arch)


def _best_fit(request: _LoadRequest, state: Mapping[str, Tensor]) -> _Fitted:
    """Fit a state dict as it is, else without wrappers and the common prefix that fills most."""
    try:
        first = _fit(request, state)
    except WeightsError:
        if other := _other_layout(request, state, request.builder({})().state_dict()):
            return other
        raise
    # A part of a file that fits in its own keys, but for some, must not stand for the whole.
    if first.covered.enough or first.covered.share > layouts.OTHER_KEYS:
        return first
    other = _other_layout(request, state, first.model.state_dict())
    return other if other and other.covered.share > first.covered.share else first


def _other_layout(
    request: _LoadRequest, state: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> _Fitted | None:
    """Fit the layouts of the keys that fill most; return the first that may be loaded, or the best.

    own: the network's state dict. Returns None where no layout has keys of it.
    """
    scores = []
    for layout in list(layouts.key_layouts(state))[1:]:
        with contextlib.suppress(WeightsError):
            keyed = coverage.convert_keys(request.plugin, layout)
            scores.append((sum(x.numel() for k, x in keyed.items() if k in own), layout))
    best = None
    for _, layout in sorted((s for s in scores if s[0]), key=lambda s: -s[0])[:TRIED]:
        with contextlib.suppress(WeightsError):
            fitted = _fit(request, layout)
            covered = layouts.with_outside(fitted.covered, state, layout)
            fitted = fitted._replace(covered=covered)
            if fitted.covered.enough:
                return fitted
            best = fitted if best is None or fitted.covered.share > best.covered.share else best
    return best


def _fill(request: _LoadRequest, fitted: _Fitted) -> tuple[Model, Coverage]:
    """Copy a state dict, which is emptied, into its network.

    The large parameters are allocated one by one, unless the state dict lacks some of them: these
    need their initial values.
    """
    import torch

    from skybench.weights import meta_init

    model, keyed, covered, decided = fitted
    if not meta_init.has_all_tensors(model, keyed.state):
        model = request.builder(decided)()
    meta_init.load_tensors(model, keyed.state, getattr(torch, request.dtype))
    loaded = model.state_dict()
    coverage.require_numbers(model.card, loaded)
    drawn = tuple(k for k in covered.missing if _is_random(loaded[k]))
    return model, replace(covered, drawn=drawn)


def _is_random(values: Tensor) -> bool:
    """Return whether initial values differ: a norm's ones and a bias's zeros are not random."""
    return not values.is_meta and bool((values != values.flatten()[:1]).any())


def _load_info(request: _LoadRequest, given: PublishedState, covered: Coverage) -> LoadInfo:
    card, path = variants.variant_card(request.plugin, request.variant), given.path
    own = given.kept.training if given.kept else None
    told = [
        f"fine-tuned on {own.title}" if own else "",
        hash_mismatch(path, card.weights) if path and card.weights and not own else "",
        skipped_objects(given.left_out),
        given.sets,
        origins.unread(covered.unused),
    ]
    found = LoadInfo(
        "state_dict",
        coverage=covered,
        note="; ".join(filter(None, told)),
        fine_tuned=own,
    )
    if path is None or card.weights is None:
        return found
    return replace(found, source="file", path=str(path), sha256=sha256_file(path))


def partial_note(info: LoadInfo) -> str:
    """Return a warning about parameters that kept random initial values; "" if there are none."""
    drawn = info.coverage.drawn if info.coverage else ()
    if not drawn:
        return ""
    shown = ", ".join(drawn[:4]) + (", ..." if drawn[4:] else "")
    return (
        f"The weights lack {len(drawn)} tensors of the network, which keep random values until "
        f"they are trained: {shown}"
    )
