"""Finds plugins: a plugin's name is the name of its module."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Literal

from skybench.core.errors import UsageError

Kind = Literal["tasks", "datasets", "baselines"]
SINGULAR = {"tasks": "task", "datasets": "dataset", "baselines": "model"}


def own(kind: Kind) -> list[str]:
    """Names of the plugins that ship with skybench, without importing any of them."""
    package = importlib.import_module(f"skybench.{kind}")
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]


@functools.cache
def outside(kind: Kind) -> dict[str, str]:
    """Names and modules of the plugins of other distributions (entry points)."""
    entries = importlib.metadata.entry_points(group=f"skybench.{kind}")
    found = {entry.name: entry.value for entry in entries}
    taken = sorted(set(own(kind)) & set(found))
    if taken:
        raise UsageError(
            f"{SINGULAR[kind]} {taken[0]!r} is also offered by {found[taken[0]]}, but the name "
            "belongs to skybench; rename the entry point"
        )
    return found


def names(kind: Kind) -> list[str]:
    """Names of all plugins of a kind, sorted, without importing any of them."""
    return sorted({*own(kind), *outside(kind)})


def resolve(kind: Kind, name: str) -> str:
    """The plugin's name as registered; '-' and '_' are alike. Raises UsageError with a hint."""
    known = names(kind)
    plain = name.strip().lower().replace("-", "_")
    if plain in known:
        return plain
    raise UsageError(unknown(SINGULAR[kind], name, known))


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """The message for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name.strip().lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"No {what} {name!r}.{hint} Known: {', '.join(known)}."


def load(kind: Kind, name: str) -> ModuleType:
    """Imports one plugin's module."""
    name = resolve(kind, name)
    return importlib.import_module(outside(kind).get(name, f"skybench.{kind}.{name}"))
