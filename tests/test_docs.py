"""The generated pages are what the cards say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from skybench.core import registry

DOCS = Path(__file__).resolve().parent.parent / "docs"


def update() -> Any:
    spec = importlib.util.spec_from_file_location("update", DOCS / "update.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(file: str) -> str:
    return (DOCS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["datasets.md", "models.md", "recipes.md"])
def test_a_generated_page_is_not_stale(file: str) -> None:
    assert written(file) == update().PAGES[file](), "run `make docs`"


@pytest.mark.parametrize(
    ("file", "kind"), [("datasets.md", "datasets"), ("models.md", "baselines")]
)
def test_every_card_has_its_section(file: str, kind: registry.Kind) -> None:
    for name in registry.names(kind):
        assert f"## `{name}`: " in written(file)
