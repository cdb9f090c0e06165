"""The generated pages are what the cards say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from skybench import registry

DOCS = Path(__file__).resolve().parent.parent / "docs"


def update() -> Any:
    spec = importlib.util.spec_from_file_location("update", DOCS / "update.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("file", "kind"), [("datasets.md", "datasets"), ("models.md", "baselines")]
)
def test_a_generated_page_is_not_stale(file: str, kind: registry.Kind) -> None:
    page = (DOCS / file).read_text(encoding="utf-8")
    assert page == update().PAGES[file](), "run `make docs`"
    for name in registry.names(kind):
        assert f"## `{name}`: " in page
