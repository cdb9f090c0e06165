"""State dicts within the content of a checkpoint: their containers, and raw and averaged ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from skybench.core import UsageError, WeightsError
from skybench.core.loaded import SETS
from skybench.weights.pickled_array import PickledArray
from skybench.weights.safe_unpickle import SkippedObject

if TYPE_CHECKING:
    from torch import Tensor

# Names of a state dict in a training checkpoint; the first that a file has is read.
CONTAINERS = (
    "model", "state_dict", "model_state_dict", "teacher", "student", "net", "network", "module",
    "checkpoint", "encoder", "backbone", "params", "weights",
)  # fmt: skip
BESIDE = re.compile(
    r"optim|sched|scaler|loops|callback|hyper_param|rng|param_groups|^config|^args|^amp$|loss|queue"
    r"|exp_avg|momentum_buffer|^grad"
)
CALLBACKS = "callbacks"  # of Lightning: only averaged weights in them are looked for
DEEPEST = 8  # levels of nested containers
ALIKE_SHARE = 0.9  # least share of equal shapes in two sets of weights of one network
FULL_SHARE = 0.1  # a state dict that is smaller than this share of the largest is no alternative

# Which of several sets of weights a name stands for.
ROLES = {
    "teacher": re.compile(r"teacher|^target_(encoder|model|net|network)$"),
    "student": re.compile(r"student"),
    "ema": re.compile(r"(^|_)(ema|swa)(_|$)|averaged?_model|shadow|polyak"),
}
ALIKE = dict(zip(SETS, ("student", "raw", "teacher", "ema"), strict=True))
WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))


class StateDict(NamedTuple):
    """A state dict that was found in a file."""

    path: str  # of its containers, as "checkpoint.model"; "" for a flat file
    state: dict[str, Tensor]
    others: str = ""  # the other sets of weights in the file, for a message

    @property
    def role(self) -> str:
        """One of ROLES, by the containers' names; "raw" for all others."""
        names = self.path.lower().split(".")
        return next((r for r, like in ROLES.items() if any(map(like.search, names))), "raw")

    @property
    def elements(self) -> int:
        """The number of elements of all tensors."""
        return sum(tensor.numel() for tensor in self.state.values())

    @property
    def rank(self) -> tuple[int, ...]:
        """The order of preference, by the position of each container in CONTAINERS."""
        names = self.path.split(".") if self.path else ["(flat)"]
        return tuple(CONTAINERS.index(n) if n in CONTAINERS else len(CONTAINERS) for n in names)


def choose_state(content: Any, origin: str, which: str = "", usual: str = "") -> StateDict:
    """Return the state dict of a checkpoint's content, without containers and other objects.

    Dicts of tensors without a known name become one, with keys "<dict>.<key>".
    which: "raw", "ema", "student" or "teacher", where a file holds several sets of weights; usual:
    the one that the model's authors read, for which="". origin: the file, for messages.
    Raises WeightsError where there are no tensors by name, or where the choice is open.
    """
    found = _candidates(content)
    if not found:
        raise WeightsError(_nothing(content, origin))
    roles = {candidate.role: candidate for candidate in reversed(found)}
    asked = which or (usual if len(roles) > 1 else "")
    if not asked and len(roles) > 1:
        options = " or ".join(f"--arch weights={role}" for role in sorted(roles))
        raise WeightsError(
            f"{origin} holds {len(roles)} sets of weights, {_listed(roles)}, and scores depend on "
            f"which is read. Give {options} (in Python: which='{min(roles)}')"
        )
    chosen = _asked(roles, asked, origin) if asked else found[0]
    _require_one([c for c in found if c.role == chosen.role], chosen, origin)
    others = {role: c for role, c in roles.items() if c is not chosen}
    return chosen._replace(others=_listed(others))


def _asked(roles: Mapping[str, StateDict], asked: str, origin: str) -> StateDict:
    if asked not in ALIKE:
        raise UsageError(f"Expected weights to be one of {', '.join(ALIKE)}, but got {asked!r}.")
    chosen = roles.get(asked) or roles.get(ALIKE[asked])
    if chosen is None:
        raise WeightsError(
            f"{origin} has no {asked} weights, only {_listed(roles)}; leave out --arch weights"
        )
    return chosen


def _require_one(found: list[StateDict], chosen: StateDict, origin: str) -> None:
    """Raise WeightsError where other weights of the same network stand in the same role."""
    if chosen.role == "ema" and all(key.isdigit() for key in chosen.state):
        raise WeightsError(
            f"{origin} holds averaged weights ({chosen.path}) as a list without names, which fits "
            "no network. Give --arch weights=raw (in Python: which='raw'), or save the "
            "state_dict() of the averaged model and give that file"
        )
    twins = [c for c in found if c is not chosen and is_alike(c.state, chosen.state)]
    different = [c for c in twins if not is_equal(c.state, chosen.state)]
    if different:
        raise several_networks(origin, [c.path or "flat keys" for c in (chosen, *different)])


def several_networks(origin: str, names: Sequence[str]) -> WeightsError:
    """Return the error for a file with several networks between which names do not decide."""
    return WeightsError(
        f"{origin} holds the weights of {len(names)} networks of the same shapes: "
        f"{', '.join(names[:6])}; scores depend on which is read. Save the state dict that you "
        "mean as a file of its own, and give that file"
    )


def is_alike(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether two state dicts have nearly the same shapes, under whatever keys."""
    shapes, others = (Counter(tuple(x.shape) for x in s.values()) for s in (one, other))
    return (shapes & others).total() > ALIKE_SHARE * max(shapes.total(), others.total())


def is_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Return whether two state dicts of one network, under any common prefix, are the same."""
    pairs = zip(sorted(one), sorted(other), strict=False)
    return len(one) == len(other) and all(one[a].equal(other[b]) for a, b in pairs)


def _listed(roles: Mapping[str, StateDict]) -> str:
    """Name sets of weights, as "model (raw) and model_ema (ema)"."""
    return " and ".join(f"{c.path or 'flat keys'} ({role})" for role, c in sorted(roles.items()))


def as_tensor(value: Any) -> Tensor | None:
    """Return a tensor, or an array as a tensor; None for other objects."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, PickledArray):
        return value.tensor
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value)
    return None


def _candidates(content: Any) -> list[StateDict]:
    """Return the state dicts of a file, best first; those much smaller than the best are left."""
    walked = [
        c
        for c in _walk(content, (), set())
        if c.role == "ema" or CALLBACKS not in c.path.split(".")
    ]
    largest = max((c.elements for c in walked), default=0)
    known = [c for c in walked if _is_known(c) and c.elements > 0.01 * largest]
    used = known or _joined(walked)
    found = [part for one in used for part in _split_roles(one)]
    largest = max((c.elements for c in found), default=0)
    found = sorted((c for c in found if c.elements >= FULL_SHARE * largest), key=lambda c: c.rank)
    others = [c for c in walked if all(c is not one for one in used)]
    return [*found, *(c for c in others if is_alike(c.state, found[0].state))]


def _is_known(found: StateDict) -> bool:
    name = found.path.rpartition(".")[2]
    return name in CONTAINERS or StateDict(name, {}).role != "raw"


def _walk(content: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[StateDict]:
    """Yield every dict of tensors; one that holds itself is visited once."""
    if len(path) > DEEPEST or id(content) in seen:
        return
    if isinstance(content, list | tuple):
        seen.add(id(content))
        yield from _walk_list(content, path, seen)
    if not isinstance(content, Mapping):
        return
    seen.add(id(content))
    own = {str(k): t for k, v in content.items() if (t := as_tensor(v)) is not None}
    for name, value in content.items():
        if isinstance(name, str) and not _is_beside((*path, name)):
            yield from _walk(value, (*path, name), seen)
    if own:
        yield StateDict(".".join(path), own)


def _is_beside(path: tuple[str, ...]) -> bool:
    """Return whether a dict belongs to the training, and may hold no weights of the network."""
    return CALLBACKS not in path and BESIDE.search(path[-1].lower()) is not None


def _walk_list(
    content: Sequence[Any], path: tuple[str, ...], seen: set[int]
) -> Iterator[StateDict]:
    """Yield the state dicts in a list, or averages that are a list of tensors without names."""
    tensors = {str(i): t for i, x in enumerate(content) if (t := as_tensor(x)) is not None}
    listed = StateDict(".".join(path), tensors)
    if tensors and listed.role == "ema":
        yield listed
    elif len(content) < 16:
        for item in content:
            yield from _walk(item, path, seen)


def _joined(found: list[StateDict]) -> list[StateDict]:
    """Join state dicts of unknown names, as those of a model in several parts, into one."""
    parts = [c for c in found if c.path]
    if len(parts) < 2:
        return found if not parts else _largest(found)
    depth = len(_common([c.path.split(".") for c in parts]))
    state = {
        ".".join((*c.path.split(".")[depth:], key)): tensor
        for c in parts
        for key, tensor in c.state.items()
    }
    return _largest([StateDict("", state), *(c for c in found if not c.path)])


def _largest(found: list[StateDict]) -> list[StateDict]:
    return [max(found, key=lambda c: c.elements)]


def _common(paths: list[list[str]]) -> list[str]:
    """Return the common beginning of all paths."""
    together = zip(*paths, strict=False)
    whole = []
    for names in together:
        if len(set(names)) > 1:
            break
        whole.append(names[0])
    return whole


def _split_roles(found: StateDict) -> list[StateDict]:
    """Split a state dict whose keys begin with the names of several sets, as "student."."""
    groups: dict[str, dict[str, Tensor]] = {}
    path = f"{found.path}." if found.path else ""
    for key, tensor in found.state.items():
        names = key.split(".")
        while len(names) > 1 and names[0] in WRAPPERS:
            names.pop(0)
        first = names.pop(0)
        while len(names) > 1 and names[0] in WRAPPERS:
            names.pop(0)
        if names:
            groups.setdefault(first, {})[".".join(names)] = tensor
    roles = {name: StateDict(name, {}).role for name in groups if not name.startswith("target")}
    for name in (n for n, role in roles.items() if role in ("ema", "teacher")):
        twins = [n for n in roles if roles[n] != roles[name] and _overlaps(groups[n], groups[name])]
        if twins:
            return [StateDict(path + n, groups[n]) for n in (*twins, name)]
    main = max(groups, key=lambda n: len(groups[n]), default="")
    if main and len(groups[main]) > ALIKE_SHARE * len(found.state):
        inner = _split_roles(StateDict(path + main, groups[main]))
        return inner if len(inner) > 1 else [found]
    return [found]


def _overlaps(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return len(one.keys() & other.keys()) > 0.5 * max(len(one), len(other))


def _nothing(content: Any, origin: str) -> str:
    inner = [content.get(n) for n in CONTAINERS] if isinstance(content, Mapping) else [content]
    pickled = [x.name for x in inner if isinstance(x, SkippedObject)]
    if pickled:
        return (
            f"{origin} holds a pickled object ({pickled[0]}), not a state dict; loading it would "
            "run code from the file, so skybench does not. If you trust it, load it with its "
            "authors' code, save its state_dict(), and give that file"
        )
    keys = content if isinstance(content, Mapping) else [type(content).__name__]
    shown = ", ".join(map(str, list(keys)[:8])) or "nothing"
    return f"{origin} holds no tensors by name, as a state dict; found: {shown}"
