"""Finding the published weights of a model on this machine."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from skybench.core import ModelCard, WeightsError, WeightsSource, folders, registry
from skybench.weights.checkpoint_file import cached_digest

SHARD_INDEX = "*.index.json"  # lists the shards of a state dict, as Hugging Face writes them
WHOLE = ("model.safetensors", "pytorch_model.bin")  # of a Hugging Face folder
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
# What a trainer, or macOS, writes beside the weights.
BESIDE = re.compile(r"\.|adapter_|optimizer|scheduler|scaler|rng_state|random_states|training_args")
LISTED, DEEPEST = 6, 3  # files and levels of folders in a message


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
    if any(path.glob("adapter_model.*")):
        raise WeightsError(
            f"{path} holds only a LoRA adapter; merge it into its base model first (of PEFT: "
            "merge_and_unload()), and save that"
        )
    raise WeightsError(
        f"No weights for {name} at {path}{_why_none(path)}; expected a checkpoint file, or a "
        f"folder with {filename}, {' or '.join(WHOLE)}, an index of shards "
        "(model.safetensors.index.json), or one checkpoint alone"
    )


def _why_none(path: Path) -> str:
    """Return what is at a path that has no single checkpoint, as " (it does not exist)"."""
    if re.match(r"[a-z]{2,}:/", str(path)):
        return " (an address: download the file first, and give its path)"
    if not path.exists():
        return " (a link to nothing)" if path.is_symlink() else " (it does not exist)"
    if (path / "data.pkl").is_file():
        return " (an unpacked checkpoint of torch.save: get the file itself)"
    levels = ("/".join(["*"] * n) for n in range(1, DEEPEST + 1))
    found = [p for level in levels for p in sorted(path.glob(level)) if _is_checkpoint(p)]
    if not found:
        return " (a folder without a checkpoint)" if path.is_dir() else " (no ordinary file)"
    shown = ", ".join(str(p.relative_to(path)) for p in found[:LISTED])
    return f" (it holds {shown}{', …' if found[LISTED:] else ''}: give the one that you mean)"


def _is_checkpoint(path: Path) -> bool:
    return path.suffix.lower() in CHECKPOINTS and not BESIDE.match(path.name) and path.is_file()


def _any_layout(folder: Path) -> Path | None:
    """Return the weights in a Hugging Face folder, or the only checkpoint in any; None."""
    if any(folder.glob(SHARD_INDEX)):
        return folder
    found = [p for p in sorted(folder.glob("*")) if _is_checkpoint(p)]
    averaged = any(re.search(r"(^|[_.-])(ema|swa)[_.-]", p.name.lower()) for p in found)
    whole = [folder / name for name in WHOLE if (folder / name).is_file() and not averaged]
    found = whole[:1] or found
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
