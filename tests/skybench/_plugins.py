"""Plugins of another package, installed for a test: an entry point without a package on disk."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from skybench.core import registry


class Entry(SimpleNamespace):
    """As importlib.metadata.EntryPoint, of a package "toys"."""

    name: str
    value: str
    group: str
    dist: Any


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch, **plugins: dict[str, Any]) -> Iterator[None]:
    """Let kinds (baselines, datasets, tasks) have plugins: name -> module, or its dotted name."""
    entries = []
    for kind, modules in plugins.items():
        for name, module in modules.items():
            value = module if isinstance(module, str) else f"toys.{kind}.{name}"
            if not isinstance(module, str):
                monkeypatch.setitem(sys.modules, value, module)
            dist = SimpleNamespace(name="toys")
            entries.append(Entry(name=name, value=value, group=f"skybench.{kind}", dist=dist))

    def of(group: str) -> list[Entry]:
        return [e for e in entries if e.group == group]

    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda **of_torch: [] if of_torch else SimpleNamespace(select=of),
    )
    caches = (registry._all_entries, registry._entries, registry.outside, registry.broken)
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        monkeypatch.undo()
        for cache in caches:
            cache.cache_clear()


def module(name: str, **members: Any) -> ModuleType:
    """A module with these members."""
    made = ModuleType(name)
    made.__dict__.update(members)
    return made
