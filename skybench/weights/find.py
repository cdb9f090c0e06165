"""Finding the published weights of a model on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from skybench.core import ModelCard, WeightsError, WeightsSource, folders, registry
from skybench.weights.checkpoint_file import cached_digest

SHARD_INDEX = "*.index.json"  # lists the shards of a state dict, as Hugging Face writes them
WHOLE = ("model.safetensors", "pytorch_model.bin")  # of a Hugging Face folder
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


class MissingWeights(WeightsError):
    """The published weights of a model are not on this machine."""


def find_weights(card: ModelCard, requested: str | Path = "auto") -> Path | None:
    """Return the path of a model's weights; None where none are found, or for random weights.

    requested: "random"; a file, or a folder with the published file; or "auto":
    <SKYBENCH_WEIGHTS>/<model>/<filename>, else the file in the Python package that ships it. Where
    several files of the plugin's `FILES` exist, their folder is returned.
    Raises WeightsError where a given path does not exist, or where the file that "auto" finds has
    another hash than the published one.
    """
    source = card.weights
    if requested == "random" or (requested == "auto" and source is None):
        return None
    if source is None:
        raise WeightsError(f"{card.name} has no learned weights; leave out {requested}")
    if requested != "auto":
        return _given(Path(requested).expanduser(), card.name, source.filename)
    path = find_published(card)
    if path is not None and (note := hash_mismatch(path, source)):
        raise WeightsError(f"{path}: {note}. Replace the file, or pass it with --weights PATH")
    return path


def find_published(card: ModelCard) -> Path | None:
    """Return the path that "auto" finds, a file or a folder of several; None. Not verified."""
    source = card.weights
    if source is None:
        return None
    folder = folders.weights() / card.name
    return _in_folder(folder, card.name, source.filename) or _packaged(source)


def _given(path: Path, name: str, filename: str) -> Path:
    if path.is_file():
        return path.parent if path.match(SHARD_INDEX) else path
    for folder in (path, path / name):
        if published := _in_folder(folder, name, filename) or _any_layout(folder):
            return published
    if (path / ".metadata").is_file():
        raise WeightsError(
            f"{path} is a distributed checkpoint of torch; make one file of it with "
            f"python -m torch.distributed.checkpoint.format_utils dcp_to_torch {path} weights.pt, "
            "and give that"
        )
    if (path / "adapter_model.safetensors").is_file():
        raise WeightsError(
            f"{path} holds only a LoRA adapter; merge it into its base model first (of PEFT: "
            "merge_and_unload()), and save that"
        )
    raise WeightsError(
        f"No weights for {name} at {path}; expected a checkpoint file, or a folder with "
        f"{filename}, {' or '.join(WHOLE)}, an index of shards "
        "(model.safetensors.index.json), or one checkpoint alone"
    )


def _any_layout(folder: Path) -> Path | None:
    """Return the weights in a Hugging Face folder, or the only checkpoint in any; None."""
    if any(folder.glob(SHARD_INDEX)):
        return folder
    for name in WHOLE:
        if (folder / name).is_file():
            return folder / name
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    found = [p for p in files if p.suffix in CHECKPOINTS and not p.name.startswith("adapter_")]
    return found[0] if len(found) == 1 else None


def weight_parts(name: str) -> Mapping[str, str]:
    """Return the files that a model's weights may be split into: file name -> key prefix."""
    parts: Mapping[str, str] = getattr(registry.model(name), "FILES", {})
    return parts


def _in_folder(folder: Path, name: str, filename: str) -> Path | None:
    """Return the published file in a folder, or the folder if it holds several parts, or None."""
    files = [p for f in {filename: "", **weight_parts(name)} if (p := folder / f).is_file()]
    return folder if len(files) > 1 else next(iter(files), None)


def _packaged(source: WeightsSource) -> Path | None:
    """Return the file in the installed package that ships it, without importing the package."""
    spec = importlib.util.find_spec(source.package) if source.package else None
    locations = (spec and spec.submodule_search_locations) or ()
    return next((p for f in locations for p in sorted(Path(f).rglob(source.filename))), None)


def hash_mismatch(path: Path, source: WeightsSource) -> str:
    """Return a message where a file's hash is not the published one; "" if equal or unknown."""
    kind = "sha256" if source.sha256 or not source.md5 else "md5"
    published = source.sha256 or source.md5
    actual = cached_digest(path, kind) if published else ""
    same = actual.startswith(published)
    return "" if same else f"{kind} {actual} is not the published file's, {published}"


def how_to_get(card: ModelCard) -> str:
    """Return the message, with the steps, for a user who lacks a model's weights."""
    source = card.weights
    if source is None:
        return f"{card.name} has no learned weights"
    if source.withheld:
        return f"The weights of {card.name} are not available: {source.withheld}. {source.obtain}"
    return (
        f"The weights of {card.name} are not on this machine. {source.obtain} Put the file at "
        f"{folders.weights() / card.name / source.filename}, or pass --weights PATH or "
        f"--weights random. Licence of the weights: {source.licence}"
    )


def require_weights_file(card: ModelCard, requested: str | Path, variant: str) -> Path | None:
    """Find weights as `find_weights` does, but raise MissingWeights where there are none.

    Returns None for random weights, and for models without learned weights.
    """
    source = card.weights
    if source is not None and requested == "auto" and variant not in source.variants:
        raise MissingWeights(
            f"The published weights of {card.name} fit {', '.join(source.variants)}, not "
            f"{variant!r}; pass --variant {source.variants[0]} or --weights random"
        )
    path = find_weights(card, requested)
    if path is None and source is not None and requested != "random":
        raise MissingWeights(how_to_get(card))
    return path
