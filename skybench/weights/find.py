"""Where the weights of a model are on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from skybench.core import ModelCard, WeightsError, WeightsSource, registry
from skybench.core import folders as places
from skybench.weights.checkpoint_file import digest


class MissingWeights(WeightsError):
    """The published weights of a model are not on this machine."""


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
