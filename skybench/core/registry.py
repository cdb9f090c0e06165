"""Registry of plugins: each has the name of its module, or of its package's entry point."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal, cast

from skybench.core.errors import UsageError
from skybench.core.interfaces import DatasetPlugin, ModelPlugin, Task

Kind = Literal["tasks", "datasets", "baselines"]
KINDS: tuple[Kind, ...] = ("baselines", "datasets", "tasks")
SINGULAR = {"tasks": "task", "datasets": "dataset", "baselines": "model"}
REQUIRED = {
    "tasks": ("TASK",),
    "datasets": ("CARD", "open", "write_demo"),
    "baselines": ("CARD", "VARIANTS", "build", "convert"),
}


def model(name: str) -> ModelPlugin:
    """Return the plugin of a model. Raises UsageError with the nearest name."""
    return cast(ModelPlugin, load("baselines", name))


def dataset(name: str) -> DatasetPlugin:
    """Return the plugin of a dataset. Raises UsageError with the nearest name."""
    return cast(DatasetPlugin, load("datasets", name))


def task(name: str) -> Task:
    """Return a task. Raises UsageError with the nearest name."""
    return cast(Task, load("tasks", name).TASK)


@functools.cache
def own(kind: Kind) -> tuple[str, ...]:
    """Return the names of the plugins that ship with skybench, without importing any of them."""
    package = importlib.import_module(f"skybench.{kind}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(name for name in found if not name.startswith("_"))


@functools.cache
def outside(kind: Kind) -> dict[str, ModuleType]:
    """Import the plugins of other packages (entry points); those that fail are in `broken`."""
    return {name: entry for name, entry in _entries(kind).items() if not isinstance(entry, str)}


@functools.cache
def broken(kind: Kind) -> dict[str, str]:
    """Return the plugins of other packages that cannot be used: name -> message with the reason."""
    return {name: entry for name, entry in _entries(kind).items() if isinstance(entry, str)}


@functools.cache
def _all_entries() -> Any:
    """The entry points of all installed packages, by group: each of their files is read once.

    Of a type that differs from Python 3.11 to 3.12.
    """
    return importlib.metadata.entry_points()


@functools.cache
def _entries(kind: Kind) -> dict[str, ModuleType | str]:
    """Return the module of each entry point, or the message why it cannot be used.

    A plugin whose name is taken is listed as "package:name".
    """
    entries: dict[str, ModuleType | str] = {}
    built_in = own(kind)
    for entry in _all_entries().select(group=f"skybench.{kind}"):
        package = entry.dist.name if entry.dist else entry.value
        title = f"{SINGULAR[kind]} {entry.name!r} of the package {package} ({entry.value})"
        name = _normalised(entry.name)
        if name in built_in or name in entries:
            owner = "skybench" if name in built_in else "another package"
            message = f"{title}: the name belongs to {owner}; rename the entry point"
            entries[f"{package}:{name}"] = message
            continue
        try:
            entries[name] = _checked(importlib.import_module(entry.value), kind, title)
        except (Exception, SystemExit) as error:  # a plugin may raise anything on import
            entries[name] = f"{title}: {type(error).__name__}: {error}"
    return entries


def _checked(module: ModuleType, kind: Kind, title: str) -> ModuleType | str:
    """Return the module, or the message which required members it lacks."""
    lacking = [n for n in REQUIRED[kind] if not hasattr(module, n)]
    return f"{title}: the module has no {', '.join(lacking)}" if lacking else module


def _normalised(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def names(kind: Kind) -> list[str]:
    """Return the names of all usable plugins, sorted; only those of other packages are imported."""
    return sorted({*own(kind), *outside(kind)})


def resolve(kind: Kind, name: str) -> str:
    """Return a plugin's name in its registered spelling: lower case, "_" for "-".

    Raises UsageError for an unknown name, with the nearest one, and for an unusable plugin.
    """
    if not isinstance(name, str):
        raise UsageError(f"Expected the name of a {SINGULAR[kind]}, but got {name!r}.")
    plain = _normalised(name)
    if plain in own(kind) or plain in outside(kind):
        return plain
    if plain in broken(kind):
        raise UsageError(f"Cannot use {broken(kind)[plain]}")
    raise UsageError(unknown(SINGULAR[kind], name, names(kind)))


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """Return the message for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name.strip().lower(), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"No {what} {name!r}.{hint} Known: {', '.join(known)}."


def load(kind: Kind, name: str) -> ModuleType:
    """Import the module of a plugin. Raises UsageError for an unknown or unusable one."""
    name = resolve(kind, name)
    if name in own(kind):
        return importlib.import_module(f"skybench.{kind}.{name}")
    return outside(kind)[name]
