"""Demo data of the datasets, written once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from skybench.core import registry

Demo = Callable[[str], Path]


@pytest.fixture(scope="session")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Writes the demo data of a dataset when it is first asked for."""

    @functools.cache
    def write(name: str) -> Path:
        root = tmp_path_factory.mktemp("demo") / name
        registry.load("datasets", name).write_demo(root, 0)
        return root

    return write
