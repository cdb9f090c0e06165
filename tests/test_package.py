"""The package as it is installed: every folder is listed, nothing shadows, imports stay light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import skybench

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS = PROJECT["tool"]["setuptools"]


def test_the_package_says_the_version_that_is_installed() -> None:
    assert skybench.__version__ == PROJECT["project"]["version"]


def test_every_folder_with_code_is_in_the_list_of_packages() -> None:
    homes = {name: ROOT / folder for name, folder in SETTINGS["package-dir"].items()}
    found = set()
    for name, home in homes.items():
        for init in home.rglob("__init__.py"):
            below = init.parent.relative_to(home).parts
            found.add(".".join([name, *below]))
    assert found == set(SETTINGS["packages"])


@pytest.mark.parametrize("name", ["tasks", "datasets", "baselines"])
def test_a_plugin_folder_refuses_its_bare_name(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert f"imported as skybench.{name}" in done.stderr


@pytest.mark.parametrize(
    "words",
    [["--help"], ["list", "models", "--json"], ["list", "datasets"], ["show", "skysense"],
     ["data", "list"], ["weights", "list"], ["table"]],
)  # fmt: skip
def test_light_commands_do_not_import_heavy_packages(words: list[str], tmp_path: Path) -> None:
    heavy = ["torch", "timm", "torchgeo", "rasterio", "pandas", "matplotlib", "sklearn", "numpy"]
    code = (
        "import sys; from skybench.cli import app as cli; sys.argv = ['skybench', *sys.argv[1:]]\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"loaded = [n for n in {heavy} if n in sys.modules]; assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
