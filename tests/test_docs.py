"""The generated pages are what the cards say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from skybench import registry

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_page_of_the_datasets_is_not_stale() -> None:
    spec = importlib.util.spec_from_file_location("update", DOCS / "update.py")
    assert spec
    assert spec.loader
    update = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(update)
    page = (DOCS / "datasets.md").read_text(encoding="utf-8")
    assert page == update.render(), "run `make docs`"
    for name in registry.names("datasets"):
        assert f"## `{name}`: " in page
