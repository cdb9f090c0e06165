"""The revision of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skybench.core.revision import revision


def test_the_revision_is_that_of_the_checkout() -> None:
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    )
    assert revision().removesuffix("-dirty") == head.stdout.strip()
