"""Folders: from the environment, below the cache, or by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.core import folders


def test_a_folder_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "results", "cache", "weights"):
        variable = f"SKYBENCH_{name.upper()}"
        monkeypatch.setenv(variable, f"~/{name}")
        assert getattr(folders, name)() == Path.home() / name
        assert folders.folder_of(variable).why == "environment"


def test_without_a_variable_a_folder_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, default in folders.DEFAULTS.items():
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(variable, " ")  # as good as unset
        assert folders.folder_of(variable) == (variable, Path(default).expanduser(), "default")


def test_weights_follow_a_cache_that_was_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYBENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("SKYBENCH_CACHE", "/scratch/cache")
    assert folders.folder_of("SKYBENCH_WEIGHTS") == (
        "SKYBENCH_WEIGHTS", Path("/scratch/cache/weights"), "below SKYBENCH_CACHE"
    )  # fmt: skip
