"""Reading of a model's weights: one file, several parts, or shards, as one state dict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import WeightsError, registry
from skybench.weights import containers
from skybench.weights.checkpoint_file import Checkpoint, open_checkpoint
from skybench.weights.find import SHARD_INDEX, weight_parts
from skybench.weights.kept import KeptWeights, read_kept

if TYPE_CHECKING:
    from torch import Tensor


class PublishedState(NamedTuple):
    """A state dict, and what its file says about it."""

    state: dict[str, Tensor]
    path: Path | None = None
    left_out: tuple[str, ...] = ()  # classes of other objects in the file, which were skipped
    sets: str = ""  # which of several sets of weights was read, for a reader of the record
    kept: KeptWeights | None = None  # of weights that a training here wrote: they have own keys


def read_published(name: str, path: Path, which: str = "") -> PublishedState:
    """Read the state dict of a file, of all parts in a folder under the joint file's keys, or of
    the shards that an index in the folder lists.

    which: the choice among several sets of weights, see `containers.choose_state`; by default the
    one that the model's card names. Raises WeightsError as `open_checkpoint`.
    """
    parts, usual = weight_parts(name), usual_set(name)
    index = next(iter(sorted(path.glob(SHARD_INDEX))), None) if path.is_dir() else None
    files = [path] if path.is_file() else [p for f in parts if (p := path / f).is_file()]
    if index is not None and not files:
        return _sharded(path, index)
    state: dict[str, Tensor] = {}
    left_out: dict[str, None] = {}
    sets: dict[str, None] = {}
    for file in files:
        checkpoint = open_checkpoint(file, which, usual)
        if checkpoint.kept:
            return PublishedState(checkpoint.state, path, checkpoint.left_out, "", checkpoint.kept)
        # The joint file may have the name of a part.
        joint = any(key.startswith(tuple(parts.values())) for key in checkpoint.state)
        prefix = "" if joint else parts.get(file.name, "")
        state |= {prefix + key: tensor for key, tensor in checkpoint.state.items()}
        left_out |= dict.fromkeys(checkpoint.left_out)
        sets |= dict.fromkeys(filter(None, [_sets(checkpoint)]))
    return PublishedState(state, path, tuple(left_out), "; ".join(sets))


def given_state(name: str, content: Mapping[str, Any], which: str = "") -> PublishedState:
    """Return the weights that were given as a state dict, with or without its container."""
    origin = "The given state dict"
    if kept := read_kept(content, origin):
        return PublishedState(kept[0], kept=kept[1])
    found = containers.choose_state(content, origin, which, usual_set(name))
    told = Checkpoint(found.state, (), found.path, found.others)
    return PublishedState(found.state, sets=_sets(told))


def usual_set(name: str) -> str:
    """Return the set of weights, as "teacher", that a model's authors read; "" if they say none."""
    source = registry.model(name).CARD.weights
    words = (source.container if source else "").replace(",", " ").split()
    return next((word for word in words if word in containers.ROLES), "")


def _sets(checkpoint: Checkpoint) -> str:
    if not checkpoint.others:
        return ""
    return f"of several sets of weights {checkpoint.container} was read, not {checkpoint.others}"


def _sharded(folder: Path, index: Path) -> PublishedState:
    """Read the shards that an index lists; they lie in its folder."""
    try:
        listed = json.loads(index.read_text())["weight_map"]
        names = {str(key): str(name) for key, name in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{index} is not an index of shards: expected JSON with a weight_map from keys to files"
        ) from error
    state: dict[str, Tensor] = {}
    left_out: dict[str, None] = {}
    for name in sorted(set(names.values())):
        if name != Path(name).name or not (folder / name).is_file():
            raise WeightsError(
                f"{index} lists the shard {name!r}, which is not in {folder}; get all shards"
            )
        checkpoint = open_checkpoint(folder / name)
        state |= checkpoint.state
        left_out |= dict.fromkeys(checkpoint.left_out)
    if lacking := names.keys() - state.keys():
        shown = ", ".join(sorted(lacking)[:4])
        raise WeightsError(
            f"The shards in {folder} lack {len(lacking)} of {len(names)} tensors that {index.name} "
            f"lists ({shown}); get all shards again"
        )
    return PublishedState(state, folder, tuple(left_out))


# What an object that is left out is to a reader, by the function that makes it.
OBJECTS = {
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
}


def skipped_objects(left_out: Sequence[str]) -> str:
    """Return a message about the objects skipped in a checkpoint; "" if there are none."""
    names = list(dict.fromkeys(OBJECTS.get(name, name) for name in left_out))
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
    return f"objects beside tensors were left out: {shown}" if names else ""
