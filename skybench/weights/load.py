"""Weights: found, verified, compared with a network key by key, loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from skybench.core import (
    CannotRun,
    ModelCard,
    ModelPlugin,
    UsageError,
    WeightsError,
    WeightsSource,
    registry,
    variants,
)
from skybench.core import folders as places
from skybench.weights import coverage as coverages
from skybench.weights.checkpoint_file import digest, open_checkpoint, unwrap
from skybench.weights.checkpoint_file import read_checkpoint as read_checkpoint
from skybench.weights.checkpoint_file import sha256_file as sha256_file
from skybench.weights.coverage import ENOUGH as ENOUGH
from skybench.weights.coverage import Coverage as Coverage
from skybench.weights.coverage import compare as compare

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

DTYPES = ("float32", "bfloat16")


class MissingWeights(WeightsError):
    """The published weights of a model are not on this machine."""


@dataclass(frozen=True)
class LoadInfo:
    """Where a model's numbers come from."""

    source: Literal["file", "state_dict", "random", "none"]  # none: nothing to load
    path: str = ""
    sha256: str = ""
    coverage: Coverage | None = None
    note: str = ""  # what a reader of the record should know


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


def find(card: ModelCard, requested: str | Path = "auto") -> Path | None:
    """The weights file for a model; None where there is none or random ones are asked for.

    requested: "random"; a file, or a folder that holds the published file; or "auto":
    <SKYBENCH_WEIGHTS>/<model>/<filename>, then the Python package that ships it. Where a plugin
    names several files in `FILES` and more than one is there, their folder is returned.
    Raises WeightsError when a path is given but not there, or a found file is not the published.
    """
    source = card.weights
    if requested == "random" or (requested == "auto" and source is None):
        return None
    if source is None:
        raise WeightsError(f"{card.name} has no learned weights; leave {requested} out")
    if requested != "auto":
        return _given(Path(requested).expanduser(), card.name, source.filename)
    path = there(card)
    if path is not None and (note := differs(path, source)):
        raise WeightsError(f"{path}: {note}. Replace the file, or pass it with --weights PATH")
    return path


def there(card: ModelCard) -> Path | None:
    """Where "auto" finds a model's file, or the folder of several; None: nowhere. Not checked."""
    source = card.weights
    if source is None:
        return None
    folder = places.weights() / card.name
    return _published(folder, card.name, source.filename) or _packaged(source)


def _given(path: Path, name: str, filename: str) -> Path:
    if path.is_file():
        return path
    for folder in (path, path / name):
        if found := _published(folder, name, filename):
            return found
    raise WeightsError(
        f"No weights for {name} at {path}; expected a checkpoint file, or a folder with {filename}"
    )


def _parts(name: str) -> Mapping[str, str]:
    """The files that a model's weights may be split into: file name -> prefix of its keys."""
    parts: Mapping[str, str] = getattr(registry.load("baselines", name), "FILES", {})
    return parts


def _published(folder: Path, name: str, filename: str) -> Path | None:
    """The one published file in a folder; the folder where it holds several parts; or None."""
    there = [p for f in {filename: "", **_parts(name)} if (p := folder / f).is_file()]
    return folder if len(there) > 1 else next(iter(there), None)


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


def _packaged(source: WeightsSource) -> Path | None:
    """The file inside the installed package that ships it; no code of the package runs."""
    spec = importlib.util.find_spec(source.package) if source.package else None
    folders = (spec and spec.submodule_search_locations) or ()
    return next((p for f in folders for p in sorted(Path(f).rglob(source.filename))), None)


def differs(path: Path, source: WeightsSource) -> str:
    """What to say when a file is not the published one, "" when it is or none knows its hash."""
    kind = "sha256" if source.sha256 or not source.md5 else "md5"
    published = source.sha256 or source.md5
    found = digest(path, kind) if published else ""
    same = found.startswith(published)
    return "" if same else f"{kind} {found} is not the published file's, {published}"


def how_to_get(card: ModelCard) -> str:
    """What to tell a user who lacks a model's weights."""
    source = card.weights
    if source is None:
        return f"{card.name} has no learned weights"
    if source.withheld:
        return f"The weights of {card.name} cannot be had: {source.withheld}. {source.obtain}"
    return (
        f"The weights of {card.name} are not here. {source.obtain} Put the file at "
        f"{places.weights() / card.name / source.filename}, or pass --weights PATH or "
        f"--weights random. Licence of the weights: {source.licence}"
    )


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


def _located(card: ModelCard, requested: str | Path, variant: str) -> Path | None:
    """What `find` finds; None for random weights and where there are none to learn."""
    source = card.weights
    if source is not None and requested == "auto" and variant not in source.variants:
        raise MissingWeights(
            f"The published weights of {card.name} fit {', '.join(source.variants)}, not "
            f"{variant!r}; pass --variant {source.variants[0]} or --weights random"
        )
    path = find(card, requested)
    if path is None and source is not None and requested != "random":
        raise MissingWeights(how_to_get(card))
    return path
