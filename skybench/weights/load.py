"""Weights: found, verified, compared with a network key by key, loaded."""

from __future__ import annotations

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
from skybench.core.loaded import ENOUGH as ENOUGH
from skybench.core.loaded import Coverage as Coverage
from skybench.core.loaded import LoadInfo
from skybench.weights import coverage as coverages
from skybench.weights.checkpoint_file import open_checkpoint, unwrap
from skybench.weights.checkpoint_file import read_checkpoint as read_checkpoint
from skybench.weights.checkpoint_file import sha256_file as sha256_file
from skybench.weights.coverage import compare as compare
from skybench.weights.find import _located, _parts, differs

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

DTYPES = ("float32", "bfloat16")


def load_into(model: Model, plugin: ModelPlugin, state: Mapping[str, Tensor]) -> Coverage:
    """Copies a flat published state dict into a model.

    Raises WeightsError, with the model untouched, when less than `ENOUGH` of the elements match
    or a key has another shape: that is another network.
    """
    from skybench.weights.meta_init import fill

    own = coverages.own_keys(model, plugin, state)
    coverage = compare(model, own)
    coverages.require(model.card, coverage)
    fill(model, own)
    return coverage


class Found(NamedTuple):
    """A published state dict, and where it is from."""

    state: dict[str, Tensor]
    path: Path | None = None
    left_out: tuple[str, ...] = ()  # objects in the file that were not made


def read(name: str, path: Path) -> Found:
    """The state dict of a file, or of all parts in a folder, with the keys of the joint file."""
    parts = _parts(name)
    state: dict[str, Tensor] = {}
    left_out: dict[str, None] = {}
    for file in [path] if path.is_file() else [path / f for f in parts if (path / f).is_file()]:
        found = open_checkpoint(file)
        # The joint file may go by the name of a part.
        joint = any(key.startswith(tuple(parts.values())) for key in found.state)
        prefix = "" if joint else parts.get(file.name, "")
        state |= {prefix + key: tensor for key, tensor in found.state.items()}
        left_out |= dict.fromkeys(found.left_out)
    return Found(state, path, tuple(left_out))


def load_model(
    name: str,
    weights: str | Path | Mapping[str, Any] | None = None,
    variant: str = "full",
    seed: int = 0,
    dtype: str = "float32",
    **arch: Any,
) -> Model:
    """A model in eval mode with published, given or random weights.

    weights: None or "auto" (see `find`), "random", a path, or a published state dict, with or
    without its container. seed: of random weights. dtype: "bfloat16" keeps and computes with half
    of the memory; features are float32 all the same. arch: settings of the plugin's network. A
    plugin may have a function `settings(state)`: settings that published weights decide, where
    `arch` does not. The model's attribute `loaded` is a LoadInfo.
    Raises MissingWeights when there are none to be found, WeightsError when they do not fit,
    CannotRun where there is no network, UsageError for a name, variant or setting that does not
    exist. Where "full" means several variants, a given file decides, else the first is taken.
    """
    import torch

    from skybench.weights import meta_init

    plugin: Any = registry.load("baselines", name)
    may = variants.meant(plugin, variant)
    card = variants.card(plugin, may[0])
    if card.unavailable:
        raise CannotRun(f"{card.name} cannot be built: {card.unavailable}")
    if dtype not in DTYPES:
        raise UsageError(f"Expected dtype to be one of {', '.join(DTYPES)}, but got {dtype!r}.")
    found = _obtained(card, weights, may[0])  # read before the network is built
    if found is None:
        model = _built(plugin, may[0], arch, seed)
        model.loaded = LoadInfo("none" if card.weights is None else "random")
    else:
        told_variant = coverages.variant_of(plugin, found.state) if variant == "full" else ""
        chosen = told_variant or may[0]
        state = coverages.fitting(plugin, chosen, found.state)
        found.state.clear()  # a tensor is let go as soon as the model has it
        arch = coverages.settings(plugin, state) | arch
        model, coverage = _filled(plugin, state, dtype, lambda: _built(plugin, chosen, arch, seed))
        model.loaded = _info(variants.card(plugin, chosen), found, coverage)
    if dtype != "float32":
        meta_init.lower(model, getattr(torch, dtype))
    return model.eval()


def _obtained(card: ModelCard, weights: Any, variant: str) -> Found | None:
    """What was given or is found; None for random weights and where there are none to learn."""
    if isinstance(weights, Mapping):
        return Found(unwrap(weights, "The given state dict"))
    path = _located(card, "auto" if weights is None else weights, variant)
    return read(card.name, path) if path else None


def _built(plugin: Any, variant: str, arch: Mapping[str, Any], seed: int) -> Model:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Model = plugin.build(variant, **arch)
    return model


def _filled(
    plugin: Any, state: dict[str, Tensor], dtype: str, build: Callable[[], Model]
) -> tuple[Model, Coverage]:
    """A model with the numbers of a state dict, which is empty afterwards."""
    import torch

    from skybench.weights import identify, meta_init

    model = meta_init.hollow(build)
    own = coverages.own_keys(model, plugin, state)
    coverage = compare(model, own)
    if not coverage.enough:
        hint = identify.variant_hint(model.card.name, state) or identify.hint(state)
        coverages.require(model.card, coverage, hint)
    state.clear()
    if not meta_init.is_filled_by(model, own):
        model = build()
    meta_init.fill(model, own, getattr(torch, dtype))
    left = model.state_dict()
    coverages.require_finite(model.card, left)
    drawn = tuple(k for k in coverage.missing if _varies(left[k]))
    return model, replace(coverage, drawn=drawn)


def _varies(values: Tensor) -> bool:
    """Whether they are not all the same: a norm's ones and a bias's zeros are no draw."""
    return not values.is_meta and bool((values != values.flatten()[:1]).any())


def _info(card: ModelCard, found: Found, coverage: Coverage) -> LoadInfo:
    if found.path is None or card.weights is None:
        return LoadInfo("state_dict", coverage=coverage)
    notes = [differs(found.path, card.weights), told(found.left_out)]
    note = "; ".join(filter(None, notes))
    return LoadInfo("file", str(found.path), sha256_file(found.path), coverage, note)


def told(left_out: Sequence[str]) -> str:
    """What to say of objects in a file that were not made, "" where there were none."""
    shown = ", ".join(left_out[:4]) + (f" and {len(left_out) - 4} more" if left_out[4:] else "")
    return f"objects beside tensors were left out: {shown}" if left_out else ""
