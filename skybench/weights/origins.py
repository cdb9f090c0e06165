"""Which tensors of a file each converted tensor comes from, and which have no place in a model."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# Rebuilt by every implementation, or counters: in the network, but not part of its function.
REBUILT = (
    "*relative_position_index", "*relative_coords_table", "*attn_mask", "*num_batches_tracked",
    "*bias_mask", "*mask_token", "*n_averaged",
)  # fmt: skip
SHOWN = 6  # groups of keys in a note
ADDED = re.compile(r"lora|hada_|(^|[._])ia3([._]|$)|(^|[._])oft_|adapter")  # merged before use
# Beside the blocks of a network, these change its output all the same.
PARTS = re.compile(
    r"norm_pre|ln_pre|pre_norm|fc_norm|reg_tokens?|register_tokens?|storage_tokens?|dist_token"
    r"|(deep_)?prompts?(_(embeddings?|embeds?|tokens?|proj\w*))?|prefix_tokens?"  # visual prompts
    r"|da\d_\w+"  # the attention between the stages of DeCUR's ResNets
)


class _Tracer(TorchFunctionMode):
    """Follow tensors through torch's functions: a result comes from all tensor arguments."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.origins: dict[int, frozenset[str]] = {}
        self.alive: list[Tensor] = []  # so that no id is used again
        for key, tensor in state.items():
            self.add(tensor, frozenset((key,)))

    def add(self, tensor: Tensor, keys: frozenset[str]) -> None:
        self.origins[id(tensor)] = self.origins.get(id(tensor), frozenset()) | keys
        self.alive.append(tensor)

    def of(self, tensors: Iterable[Tensor]) -> frozenset[str]:
        return frozenset[str]().union(*(self.origins.get(id(x), ()) for x in tensors))

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = list(_tensors((args, kwargs or {})))
        if keys := self.of(given):
            written = given[:1] if result is None else _tensors(result)  # None: x[...] = y
            for tensor in written:
                self.add(tensor, keys)
        return result


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        yield from _tensors(tuple(content.values()))
    elif isinstance(content, list | tuple):
        for item in content:
            yield from _tensors(item)


def traced(
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, frozenset[str]]]:
    """Convert a state dict; return it, and for each new key the old keys that it comes from."""
    with _Tracer(state) as tracer:
        made = convert(dict(state))
    return made, {key: tracer.of((tensor,)) for key, tensor in made.items()}


def belongs_inside(
    unused: Iterable[str], used: Collection[str], allowed: Collection[str] = ()
) -> Iterator[str]:
    """Yield the unused keys of a file that lie within the network that the used keys make up.

    They lie in one of its blocks or layers, or are named as such a part. Heads and decoders beside
    the network do not. allowed: fnmatch patterns of keys that may be left out.
    """
    modules = {prefix for key in used for prefix in _prefixes(key)}
    outer = {prefix for key in used for prefix in _outside(key)}
    for key in unused:
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in (*REBUILT, *allowed)):
            continue
        names = key.split(".")
        module = next((p for p in reversed(list(_prefixes(key))) if p in modules), "")
        beside = module == "" or module in outer
        below = names[module.count(".") + 1 if module else 0]
        if not beside or PARTS.fullmatch(below) or ADDED.search(key.lower()):
            yield key


def changes_output(key: str) -> bool:
    """Return whether a key outside a network names a part that its output depends on."""
    return bool(PARTS.fullmatch(key.partition(".")[0]) or ADDED.search(key.lower()))


def _prefixes(key: str) -> Iterator[str]:
    """Yield the modules that a key lies in, "a", "a.b" for "a.b.weight"."""
    names = key.split(".")[:-1]
    yield from (".".join(names[: n + 1]) for n in range(len(names)))


def _outside(key: str) -> Iterator[str]:
    """Yield the modules around the numbered blocks of a key, as "a" of "a.blocks.0.bias"."""
    names = key.split(".")
    first = next((i for i, name in enumerate(names) if name.isdigit()), 0)
    yield from (".".join(names[: n + 1]) for n in range(first - 1))


def grouped(keys: Iterable[str]) -> tuple[str, ...]:
    """Count keys by their first name, as "decoder (98)", most first."""
    counts = Counter(key.partition(".")[0] for key in keys)
    return tuple(f"{name} ({count})" for name, count in counts.most_common())


def unread(groups: Sequence[str]) -> str:
    """Return a note on the groups of keys of a file that no network reads; "" if there are none."""
    more = f" and {len(groups) - SHOWN} more" if len(groups) > SHOWN else ""
    return f"not read: {', '.join(groups[:SHOWN])}{more}" if groups else ""
