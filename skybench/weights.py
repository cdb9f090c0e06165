"""Weights: found, verified, compared with a network key by key, loaded."""

from __future__ import annotations

import fnmatch
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skybench import places, registry, variants
from skybench.checkpoint import read_checkpoint as read_checkpoint
from skybench.checkpoint import sha256_file as sha256_file
from skybench.checkpoint import unwrap
from skybench.core import CannotRun, ModelCard, ModelPlugin, WeightsError, WeightsSource

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.model import Model

ENOUGH = 0.99  # share of the elements that must match


class MissingWeights(WeightsError):
    """The published weights of a model are not on this machine."""


@dataclass(frozen=True)
class Coverage:
    """How a file's keys compare with a model's; the keys are the model's own."""

    share: float  # of the elements of parameters and persistent float buffers that should come
    missing: tuple[str, ...]  # the model has them, the file does not
    unexpected: tuple[str, ...]  # the file has them, the model does not
    mismatched: tuple[str, ...]  # both have them, with different shapes


@dataclass(frozen=True)
class LoadInfo:
    """Where a model's numbers come from."""

    source: Literal["file", "state_dict", "random", "none"]  # none: nothing to load
    path: str = ""
    sha256: str = ""
    coverage: Coverage | None = None
    note: str = ""  # what a reader of the record should know


def compare(model: Model, state: Mapping[str, Tensor]) -> Coverage:
    """How a state dict under the model's own keys covers it.

    Keys that the model's card declares as missing from the published file do not count.
    """
    own = model.state_dict()
    source = model.card.weights
    excused = {
        key
        for pattern in (source.missing if source else ())
        for key in fnmatch.filter(own, pattern)
    }
    floats = {k: v.numel() for k, v in own.items() if v.is_floating_point()}
    fits = {k for k in own if k in state and state[k].shape == own[k].shape}
    expected = sum(n for k, n in floats.items() if k in fits or k not in excused)
    matched = sum(n for k, n in floats.items() if k in fits)
    return Coverage(
        share=matched / expected if expected else 0.0,
        missing=tuple(k for k in floats if k not in state),
        unexpected=tuple(k for k in state if k not in own),
        mismatched=tuple(k for k in own if k in state and k not in fits),
    )


def load_into(model: Model, plugin: ModelPlugin, state: Mapping[str, Tensor]) -> Coverage:
    """Copies a flat published state dict into a model.

    A model may have a method `adapt(state) -> state` that fits a file to its own settings, such
    as a further input band; it sees the model's own keys.
    Raises WeightsError, with the model untouched, when less than `ENOUGH` of the elements match
    or a key has another shape: that is another network.
    """
    own = plugin.convert(dict(state))
    adapt = getattr(model, "adapt", None)
    own = adapt(own) if adapt else own
    coverage = compare(model, own)
    if coverage.share < ENOUGH or coverage.mismatched:
        raise WeightsError(_misfit(model.card, coverage))
    model.load_state_dict(own, strict=False)
    return coverage


def _misfit(card: ModelCard, coverage: Coverage) -> str:
    lists = {
        "missing": coverage.missing,
        "of another shape": coverage.mismatched,
        "unexpected": coverage.unexpected,
    }
    found = "; ".join(f"{n}: {len(k)} ({', '.join(k[:4])})" for n, k in lists.items() if k)
    published = card.weights.filename if card.weights else "none"
    return (
        f"These weights do not fit {card.name}: they match {100 * coverage.share:.1f} % of its "
        f"parameters, expected {100 * ENOUGH:.0f} % at least. Keys {found}. Nothing was loaded. "
        f"Give the published file ({published}), or the variant and settings that it was made for"
    )


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
    path = _published(places.weights() / card.name, card.name, source.filename) or _packaged(source)
    if path is not None and (note := differs(path, source)):
        raise WeightsError(f"{path}: {note}. Replace the file, or pass it with --weights PATH")
    return path


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


def _read(name: str, path: Path) -> dict[str, Tensor]:
    """The state dict of a file, or of all parts in a folder, with the keys of the joint file."""
    parts = _parts(name)
    state: dict[str, Tensor] = {}
    for file in [path] if path.is_file() else [path / f for f in parts if (path / f).is_file()]:
        found = read_checkpoint(file)
        # The joint file may go by the name of a part.
        joint = any(key.startswith(tuple(parts.values())) for key in found)
        prefix = "" if joint else parts.get(file.name, "")
        state |= {prefix + key: tensor for key, tensor in found.items()}
    return state


def _packaged(source: WeightsSource) -> Path | None:
    """The file inside the installed package that ships it; no code of the package runs."""
    spec = importlib.util.find_spec(source.package) if source.package else None
    folders = (spec and spec.submodule_search_locations) or ()
    return next((p for f in folders for p in sorted(Path(f).rglob(source.filename))), None)


def differs(path: Path, source: WeightsSource) -> str:
    """What to say when a file is not the published one, "" when it is or none knows its sha256."""
    digest = sha256_file(path) if source.sha256 else ""
    same = digest.startswith(source.sha256)
    return "" if same else f"sha256 {digest} is not the published file's, {source.sha256}"


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
    **arch: Any,
) -> Model:
    """A model in eval mode with published, given or random weights.

    weights: None or "auto" (see `find`), "random", a path, or a published state dict, with or
    without its container. seed: of random weights. arch: settings of the plugin's network. A
    plugin may have a function `settings(state)`: settings that published weights decide, where
    `arch` does not. The model's attribute `loaded` is a LoadInfo.
    Raises MissingWeights when there are none to be found, WeightsError when they do not fit,
    CannotRun where there is no network, UsageError for a name, variant or setting that does not
    exist. Where "full" means several variants, a given file decides, else the first is taken.
    """
    import torch

    plugin: Any = registry.load("baselines", name)
    may = variants.meant(plugin, variant)
    card = variants.card(plugin, may[0])
    if card.unavailable:
        raise CannotRun(f"{card.name} cannot be built: {card.unavailable}")
    path, state = None, None  # read before the network is built, which can take long
    if isinstance(weights, Mapping):
        state = unwrap(weights, "The given state dict")
    elif path := _located(card, "auto" if weights is None else weights, may[0]):
        state = _read(card.name, path)
    told = plugin.variant_of(state) if state and hasattr(plugin, "variant_of") else ""
    variant = told if told and variant == "full" else may[0]
    if state is not None and hasattr(plugin, "settings"):
        arch = plugin.settings(state) | arch
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: Model = plugin.build(variant, **arch)
    info = LoadInfo("none" if card.weights is None else "random")
    if state is not None:
        info = LoadInfo("state_dict", coverage=load_into(model, plugin, state))
    if path is not None and card.weights is not None:
        note = differs(path, card.weights)
        info = LoadInfo("file", str(path), sha256_file(path), info.coverage, note)
    model.loaded = info
    return model.eval()


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
