"""Every example in a docstring gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import skybench

PLUGINS = ("skybench.tasks", "skybench.datasets", "skybench.baselines")


def modules() -> Iterator[str]:
    """Names of all modules but those that run something when they are imported."""
    for top in ("skybench", *PLUGINS):
        yield top
        package = importlib.import_module(top)
        for module in pkgutil.walk_packages(package.__path__, f"{top}."):
            if not module.name.endswith("__main__"):
                yield module.name


NAMES = sorted(set(modules()))


@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_modules_of_every_package_and_some_examples_are_found() -> None:
    assert {"skybench.core", "skybench.heads.knn", "skybench.tasks.scene_classification"} < {*NAMES}
    assert skybench.__name__ in NAMES
    finder = doctest.DocTestFinder()
    examples = [
        e for n in NAMES for t in finder.find(importlib.import_module(n)) for e in t.examples
    ]
    assert len(examples) > 5
