"""The order of the packages: imports go down, never in a circle; a public name means one thing.

Imports are read from the syntax tree, those inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ("baselines", "datasets", "tasks")
FLOORS = (
    {"core"},
    {"records", "data", "training", "boxes"},
    {"weights", "augment", "metrics"},
    {"analysis", "features", "heads"},
    {"plan", "bench"},
    {"report"},
    {"checks"},
    {"runner"},
    {"executors"},
    {"cli"},
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
PLUGINS_REACH = FLOOR_OF["features"]  # the highest floor that a plugin imports from
# In the root: the Python interface, the console, and former places for plugins of other packages.
ROOT_MODULES = {"__init__", "__main__", "model", "samples"}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(("skybench", *parts) if parts[0] in PLUGINS else parts)


MODULES = {dotted(p): p for top in ("skybench", *PLUGINS) for p in (ROOT / top).rglob("*.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imported(module: str) -> Iterator[str]:
    """The modules of this project that a module imports, absolutely or relatively."""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name in MODULES)
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if name in MODULES or base in MODULES:
                    yield name if name in MODULES else base


IMPORTS = {module: set(imported(module)) - {module} for module in MODULES}


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_package_has_a_floor_and_the_root_is_empty() -> None:
    inside = {p.name for p in (ROOT / "skybench").iterdir() if (p / "__init__.py").exists()}
    assert inside == set(FLOOR_OF)
    assert {p.stem for p in (ROOT / "skybench").glob("*.py")} == ROOT_MODULES


def test_imports_go_down() -> None:
    wrong = [
        f"{module} -> {other}"
        for module, others in IMPORTS.items()
        for other in others
        if package_of(module) in FLOOR_OF
        and package_of(other) != package_of(module)
        and FLOOR_OF.get(package_of(other), 99) >= FLOOR_OF[package_of(module)]
    ]
    assert wrong == []


def test_nothing_imports_in_a_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_plugins_reach_each_other_only_through_folders_that_start_with_an_underscore() -> None:
    wrong = []
    for module, others in IMPORTS.items():
        kind, _, rest = module.removeprefix("skybench.").partition(".")
        if kind not in PLUGINS:
            continue
        for other in others:
            their, _, place = other.removeprefix("skybench.").partition(".")
            shared = their == kind and (place.startswith("_") or not place)
            if not shared and FLOOR_OF.get(their, 99) > PLUGINS_REACH:
                wrong.append(f"{module} -> {other}")
        assert rest.startswith("_") or rest.count(".") == 0, module
    assert wrong == []


def public(module: str) -> Iterator[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = (n.name for n in TREES[module].body if isinstance(n, kinds))
    return (n for n in names if not n.startswith("_"))


# Names that several modules define, and why that is right. Strike out what is mended; add nothing
# but a pair like these.
SHARED = {
    "load_model": "the Python interface and what it calls",
    "run": "the Python interface and the command",
    "table": "the Python interface and the command",
}


def test_a_public_name_means_one_thing() -> None:
    homes = defaultdict(list)
    for module in MODULES:
        if (
            module.startswith("skybench.") and package_of(module) in FLOOR_OF
        ) or module == "skybench":
            for name in public(module):
                homes[name].append(module)
    several = {name: found for name, found in homes.items() if len(found) > 1}
    assert {n: f for n, f in several.items() if n not in SHARED} == {}
    assert set(SHARED) <= set(several), "strike out what is mended"


def test_the_core_names_no_plugin() -> None:
    wrong = [
        f"{module} -> {other}"
        for module, others in IMPORTS.items()
        for other in others
        if package_of(module) not in PLUGINS and package_of(other) in PLUGINS
    ]
    assert wrong == []


# Modules that are tested through others, and by which test.
TESTED_ELSEWHERE = {"skybench.core.version": "tests/test_package.py"}


def test_every_module_of_the_core_has_the_test_file_of_its_name() -> None:
    missing = []
    for module, path in MODULES.items():
        if package_of(module) not in FLOOR_OF or path.name == "__init__.py":
            continue
        folder = ROOT / "tests" / path.relative_to(ROOT).parent
        if not (folder / f"test_{path.stem.lstrip('_')}.py").exists():
            missing.append(module)
    assert set(missing) == set(TESTED_ELSEWHERE)
