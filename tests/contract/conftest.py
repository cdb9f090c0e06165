"""Demo data of the datasets, copied once."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skybench.data.demo_folder import demo_root

Demo = Callable[[str], Path]


@pytest.fixture(scope="session")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Copies the demo data of a dataset when they are first asked for; tests may add files."""

    @functools.cache
    def copied(name: str) -> Path:
        return Path(shutil.copytree(demo_root(name), tmp_path_factory.mktemp("demo") / name))

    return copied
