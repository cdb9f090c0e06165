"""Loading of weights into a model: published, given, or random."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import (
    CannotRun,
    ModelCard,
    ModelPlugin,
    UsageError,
    registry,
    variants,
)
from skybench.core.loaded import MIN_COVERAGE as MIN_COVERAGE
from skybench.core.loaded import Coverage as Coverage
from skybench.core.loaded import LoadInfo
from skybench.weights import coverage
from skybench.weights.checkpoint_file import open_checkpoint, unwrap_state
from skybench.weights.checkpoint_file import read_checkpoint as read_checkpoint
from skybench.weights.checkpoint_file import sha256_file as sha256_file
from skybench.weights.coverage import compare_keys as compare_keys
from skybench.weights.find import hash_mismatch, require_weights_file, weight_parts

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

DTYPES = ("float32", "bfloat16")


def load_into(model: Model, plugin: ModelPlugin, state: Mapping[str, Tensor]) -> Coverage:
    """Copy a published state dict, without its container, into a model.

    Raises WeightsError, with the model unchanged, where less than `MIN_COVERAGE` of the elements
    match, or a key has another shape: the weights are another network's.
    """
    from skybench.weights.meta_init import load_tensors

    keyed = coverage.model_keys(model, plugin, state)
    covered = compare_keys(model, keyed)
    coverage.require_coverage(model.card, covered)
    load_tensors(model, keyed)
    return covered


class PublishedState(NamedTuple):
    """A published state dict, and the file that it comes from."""

    state: dict[str, Tensor]
    path: Path | None = None
    left_out: tuple[str, ...] = ()  # classes of other objects in the file, which were skipped


def read_published(name: str, path: Path) -> PublishedState:
    """Read the state dict of a file, or of all parts in a folder under the joint file's keys."""
    parts = weight_parts(name)
    state: dict[str, Tensor] = {}
    left_out: dict[str, None] = {}
    for file in [path] if path.is_file() else [path / f for f in parts if (path / f).is_file()]:
        checkpoint = open_checkpoint(file)
        # The joint file may have the name of a part.
        joint = any(key.startswith(tuple(parts.values())) for key in checkpoint.state)
        prefix = "" if joint else parts.get(file.name, "")
        state |= {prefix + key: tensor for key, tensor in checkpoint.state.items()}
        left_out |= dict.fromkeys(checkpoint.left_out)
    return PublishedState(state, path, tuple(left_out))


def load_model(
    name: str,
    weights: str | Path | Mapping[str, Any] | None = None,
    variant: str = "full",
    seed: int = 0,
    dtype: str = "float32",
    **arch: Any,
) -> Model:
    """Load a model in eval mode, with published, given or random weights.

    weights: None or "auto" (see `find_weights`), "random", a path, or a published state dict, with
    or without its container. variant: where "full" stands for several, the file decides, else the
    first is loaded. seed: of random weights. dtype: "bfloat16" halves the memory; features are
    float32 all the same. arch: settings of the network; where they are not given, they follow from
    the published weights, as the plugin's `settings(state)` says. The model's attribute `loaded`
    is a LoadInfo.
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
    published = _obtain(card, weights, candidates[0])  # read before the network is built
    if published is None:
        model = _build(plugin, candidates[0], arch, seed)
        model.loaded = LoadInfo("none" if card.weights is None else "random")
    else:
        known = coverage.identify_variant(plugin, published.state) if variant == "full" else ""
        chosen = known or candidates[0]
        state = coverage.best_layout(plugin, chosen, published.state)
        published.state.clear()  # so that each tensor is freed once it is copied into the model
        arch = coverage.decided_settings(plugin, state) | arch
        build = functools.partial(_build, plugin, chosen, arch, seed)
        model, covered = _build_and_load(plugin, state, dtype, build)
        model.loaded = _load_info(variants.variant_card(plugin, chosen), published, covered)
    if dtype != "float32":
        meta_init.lower_precision(model, getattr(torch, dtype))
    return model.eval()


def _obtain(card: ModelCard, weights: Any, variant: str) -> PublishedState | None:
    """Return the weights that were given or found; None for random ones, and without any."""
    if isinstance(weights, Mapping):
        return PublishedState(unwrap_state(weights, "The given state dict"))
    path = require_weights_file(card, "auto" if weights is None else weights, variant)
    return read_published(card.name, path) if path else None


def _build(plugin: Any, variant: str, arch: Mapping[str, Any], seed: int) -> Model:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Model = plugin.build(variant, **arch)
    return model


def _build_and_load(
    plugin: Any, state: dict[str, Tensor], dtype: str, build: Callable[[], Model]
) -> tuple[Model, Coverage]:
    """Build a model and load a published state dict, which is emptied.

    The model is built on the meta device, so that its large parameters are allocated one by one,
    unless the state dict lacks some of them: these need their initial values.
    """
    import torch

    from skybench.weights import identify, meta_init

    model = meta_init.build_on_meta(build)
    keyed = coverage.model_keys(model, plugin, state)
    covered = compare_keys(model, keyed)
    if not covered.enough:
        hint = identify.variant_hint(model.card.name, state) or identify.model_hint(state)
        coverage.require_coverage(model.card, covered, hint)
    state.clear()
    if not meta_init.has_all_tensors(model, keyed):
        model = build()
    meta_init.load_tensors(model, keyed, getattr(torch, dtype))
    loaded = model.state_dict()
    coverage.require_finite(model.card, loaded)
    drawn = tuple(k for k in covered.missing if _is_random(loaded[k]))
    return model, replace(covered, drawn=drawn)


def _is_random(values: Tensor) -> bool:
    """Return whether initial values differ: a norm's ones and a bias's zeros are not random."""
    return not values.is_meta and bool((values != values.flatten()[:1]).any())


def _load_info(card: ModelCard, published: PublishedState, covered: Coverage) -> LoadInfo:
    path = published.path
    if path is None or card.weights is None:
        return LoadInfo("state_dict", coverage=covered)
    notes = [hash_mismatch(path, card.weights), skipped_objects(published.left_out)]
    note = "; ".join(filter(None, notes))
    return LoadInfo("file", str(path), sha256_file(path), covered, note)


def skipped_objects(left_out: Sequence[str]) -> str:
    """Return a message about the objects skipped in a checkpoint; "" if there are none."""
    shown = ", ".join(left_out[:4]) + (f" and {len(left_out) - 4} more" if left_out[4:] else "")
    return f"objects beside tensors were left out: {shown}" if left_out else ""
