"""The registry: names, hints, and plugins of other packages, usable and broken."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Task, UsageError, registry

Install = Callable[..., None]
MODEL = "CARD, VARIANTS = None, {}\ndef build(): ...\ndef convert(): ...\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package of plugins: its name, the entry points, and the modules with their code.

    The caches of the registry and the imported modules are removed after the test.
    """
    imported: set[str] = set()
    monkeypatch.syspath_prepend(tmp_path)

    def installed(
        package: str, entries: Mapping[str, str], kind: registry.Kind = "baselines", **code: str
    ) -> None:
        (info := tmp_path / f"{package.replace('-', '_')}-1.0.dist-info").mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {module}\n" for name, module in entries.items()]
        (info / "entry_points.txt").write_text(f"[skybench.{kind}]\n{''.join(lines)}")
        for module, text in code.items():
            (tmp_path / f"{module}.py").write_text(text)
            imported.add(module)

    caches = (registry.outside, registry.broken, registry._entries, registry._all_entries)
    for cache in caches:
        cache.cache_clear()
    yield installed
    for cache in caches:
        cache.cache_clear()
    for module in imported:
        sys.modules.pop(module, None)


def test_names_are_files_and_private_modules_are_not_plugins() -> None:
    assert "skysense" in registry.names("baselines")
    assert not [n for kind in registry.KINDS for n in registry.names(kind) if n.startswith("_")]


def test_hyphens_and_capitals_are_alike() -> None:
    assert registry.resolve("tasks", "Scene-Classification") == "scene_classification"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"No model 'skysence'\. Did you mean 'skysense'\? Known: "
    ):
        registry.model("skysence")


def test_each_kind_has_its_accessor() -> None:
    assert registry.model("skysense").CARD.name == "skysense"
    assert registry.dataset("aid").CARD.name == "aid"
    task = registry.task("scene-classification")
    assert isinstance(task, Task)
    assert task.name == "scene_classification"
    assert registry.load("tasks", "scene_classification").TASK is task


def test_a_plugin_of_another_package_is_listed_and_loaded(install: Install) -> None:
    install("far-away", {"mymodel": "far_model"}, far_model=MODEL)
    assert "mymodel" in registry.names("baselines")
    assert registry.broken("baselines") == {}
    assert registry.load("baselines", "mymodel").__name__ == "far_model"
    assert registry.model("MyModel") is sys.modules["far_model"]


def test_the_name_of_an_entry_point_is_normalised(install: Install) -> None:
    install("far-away", {"My-Model": "far_model"}, far_model=MODEL)
    assert "my_model" in registry.names("baselines")
    assert registry.resolve("baselines", "My-Model") == "my_model"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise RuntimeError('old torch')", "RuntimeError: old torch"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("CARD, VARIANTS = None, {}", "the module has no build, convert"),
    ],
)
def test_a_broken_plugin_is_named_with_its_package_and_error(
    install: Install, code: str, reason: str
) -> None:
    install("far-away", {"bad": "far_bad", "good": "far_good"}, far_bad=code, far_good=MODEL)
    start = f"model 'bad' of the package far-away (far_bad): {reason}"
    assert registry.broken("baselines")["bad"].startswith(start)
    assert "bad" not in registry.names("baselines")
    assert {"good", "skysense"} <= {*registry.names("baselines")}  # the others are not affected
    with pytest.raises(UsageError) as told:
        registry.model("bad")
    assert str(told.value).startswith(f"Cannot use {start}")


def test_a_dataset_and_a_task_lack_other_members(install: Install) -> None:
    install("far-data", {"mydata": "far_data"}, "datasets", far_data="CARD = None")
    install("far-tasks", {"mytask": "far_task"}, "tasks", far_task="")
    assert registry.broken("datasets")["mydata"].endswith("the module has no open, write_demo")
    assert registry.broken("tasks")["mytask"].endswith("the module has no TASK")


def test_a_name_of_skybench_cannot_be_taken(install: Install) -> None:
    install("far-away", {"SkySense": "far_model"}, far_model=MODEL)
    message = "the name belongs to skybench; rename the entry point"
    assert registry.broken("baselines")["far-away:skysense"].endswith(message)
    assert registry.outside("baselines") == {}
    assert registry.model("skysense").CARD.name == "skysense"
    assert "far_model" not in sys.modules


def test_the_first_of_two_packages_keeps_a_name(install: Install) -> None:
    install("far-a", {"mymodel": "far_a"}, far_a=MODEL)
    install("far-b", {"mymodel": "far_b"}, far_b=MODEL)
    (key,) = registry.broken("baselines")
    assert key in ("far-a:mymodel", "far-b:mymodel")  # the order of packages is Python's
    assert "belongs to another package" in registry.broken("baselines")[key]
    assert "mymodel" in registry.names("baselines")


def test_installed_packages_are_looked_through_once(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("one", {"one": "a_model_of_one"}, a_model_of_one=MODEL)
    looked, real = [], importlib.metadata.entry_points

    def spy() -> Any:
        looked.append(1)
        return real()

    monkeypatch.setattr(importlib.metadata, "entry_points", spy)
    for kind in registry.KINDS:
        for _ in range(2):
            registry.names(kind)
            registry.broken(kind)
    assert len(looked) == 1
    assert "one" in registry.names("baselines")
