from __future__ import annotations

import importlib.metadata

import pytest

from skybench.core import UsageError, registry

KINDS: tuple[registry.Kind, ...] = ("tasks", "datasets", "baselines")


def test_names_are_files_and_private_modules_are_not_plugins() -> None:
    assert "skysense" in registry.names("baselines")
    assert not [n for kind in KINDS for n in registry.names(kind) if n.startswith("_")]


def test_hyphens_and_capitals_are_alike() -> None:
    assert registry.resolve("tasks", "Scene-Classification") == "scene_classification"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"No model 'skysence'\. Did you mean 'skysense'\? Known: "
    ):
        registry.load("baselines", "skysence")


def _offer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    entry = importlib.metadata.EntryPoint(name, value, "skybench.baselines")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    registry.outside.cache_clear()


def test_a_plugin_of_another_distribution_is_listed_and_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _offer(monkeypatch, "mymodel", "json")
    try:
        assert "mymodel" in registry.names("baselines")
        assert registry.load("baselines", "mymodel").__name__ == "json"
    finally:
        registry.outside.cache_clear()


def test_an_outside_plugin_may_not_take_an_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, "skysense", "json")
    try:
        with pytest.raises(UsageError, match="'skysense' is also offered by json"):
            registry.load("baselines", "skysense")
    finally:
        registry.outside.cache_clear()
