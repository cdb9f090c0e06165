"""Layouts of a state dict: its keys as they are, and without wrappers and common prefixes."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skybench.core import WeightsError
from skybench.core.loaded import Coverage
from skybench.weights import containers, coverage, origins
from skybench.weights.containers import WRAPPERS

if TYPE_CHECKING:
    from torch import Tensor

OTHER_KEYS = 0.5  # most coverage by a file's own keys where others are tried
LEAST_SHARE = 0.05  # of a file's elements below a prefix; less is no network
DEEPEST, MOST = 5, 12  # names in a prefix, and prefixes
# Slow copies of an encoder, which are no alternative to it: MoCo's.
MOMENTUM = re.compile(r"momentum|encoder_k|key_encoder")
BLOCKS = 3  # as many numbered modules lie in a network, not around it


def key_layouts(
    state: Mapping[str, Tensor], least: float = LEAST_SHARE
) -> Iterator[dict[str, Tensor]]:
    """Yield a state dict as it is, without wrappers, and the part below each common prefix.

    A wrapper is a name that torch adds, as "_orig_mod" of a compiled module. least: the share of
    the elements that lies below a prefix, without which it is not tried.
    """
    yield dict(state)
    bare = {_unwrapped(key): tensor for key, tensor in state.items()}
    if bare.keys() != state.keys():
        yield bare
    for prefix in _prefixes(bare, least):
        yield {k.removeprefix(prefix): x for k, x in bare.items() if k.startswith(prefix)}


def _unwrapped(key: str) -> str:
    """Return a key without the names of wrappers, "module" only where it is the first name."""
    *modules, last = key.split(".")
    names = [n for i, n in enumerate(modules) if n not in WRAPPERS or (n == "module" and i)]
    return ".".join((*names, last))


def _prefixes(state: Mapping[str, Tensor], least: float) -> list[str]:
    """Return the prefixes below which much of a file lies, those of fewest names first."""
    total = sum(tensor.numel() for tensor in state.values())
    found, level = [], [""]
    for _ in range(DEEPEST):
        level = [p for above in level for p in _below(state, above, least * total)]
        found += level
    return found[:MOST]


def _below(state: Mapping[str, Tensor], above: str, least: float) -> list[str]:
    """Return the longer prefixes by one name, largest first; () of numbered blocks."""
    counts: Counter[str] = Counter()
    for key, tensor in state.items():
        name, dot, _ = key.removeprefix(above).partition(".")
        if dot and key.startswith(above):
            counts[name] += tensor.numel()
    if sum(name.isdigit() for name in counts) >= BLOCKS:
        return []
    ordered = sorted(counts, key=lambda n: (bool(MOMENTUM.search(n)), -counts[n]))
    return [f"{above}{name}." for name in ordered if counts[name] > least]


def find_variant(plugin: Any, state: Mapping[str, Tensor]) -> str:
    """Return the variant that the plugin says a state dict of any layout belongs to; "" if none."""
    layouts = key_layouts({key: tensor.to("meta") for key, tensor in state.items()})
    named = (coverage.identify_variant(plugin, layout) for layout in layouts)
    return next(filter(None, named), "")


def with_outside(
    covered: Coverage, state: Mapping[str, Tensor], layout: Mapping[str, Tensor]
) -> Coverage:
    """Return a layout's coverage with the tensors of the file that lie outside the layout."""
    read = {id(tensor) for tensor in layout.values()}
    outside = [key for key, tensor in state.items() if id(tensor) not in read]
    needed = tuple(key for key in outside if origins.changes_output(key))
    unused = origins.grouped(key for key in outside if key not in needed)
    return replace(covered, inside=(*covered.inside, *needed), unused=(*unused, *covered.unused))


def require_single(origin: str, state: Mapping[str, Tensor], used: Collection[str]) -> None:
    """Raise WeightsError where the keys that a model uses occur below several prefixes of a file.

    used: keys of the layout that fits. Momentum encoders and equal copies are no alternatives.
    """
    bare = {_unwrapped(key): tensor for key, tensor in state.items()}
    if not used or all(key in bare for key in used):
        return  # the model's conversion knows the file's own keys
    longest = max(used, key=len)
    starts = [key.removesuffix(longest) for key in bare if key.endswith(f".{longest}")]
    copies = {
        start: {key: bare[start + key] for key in used}
        for start in starts
        if all(start + key in bare for key in used) and not MOMENTUM.search(start)
    }
    first, *others = copies.values() if copies else ({},)
    alike = [c for c in others if containers.is_alike(c, first)]
    if not all(containers.is_equal(c, first) for c in alike):
        raise containers.several_networks(origin, [start.rstrip(".") for start in copies])


def best_layout(plugin: Any, variant: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the layout of a state dict that fills a variant, else that which covers it best.

    A part of a file that fits in its own keys, but for some, must not stand for the whole.
    """
    best, most = dict(state), 0.0
    for number, layout in enumerate(key_layouts(state)):
        with contextlib.suppress(WeightsError):
            covered = coverage.measure_coverage(plugin, variant, layout)
            covered = with_outside(covered, state, layout)
            if covered.enough or (not number and covered.share > OTHER_KEYS):
                return layout
            if covered.share > most:
                best, most = layout, covered.share
    return best
